"""Your runs: those of `ppo train`, and those that other programs trained."""
