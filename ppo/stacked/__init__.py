"""All that is only speed: each trick beside its plain PyTorch twin of a few lines, which the tests compare."""
