"""The sentences with numbers of README.md and results/README.md, by artefact, each with the cells that fill it."""
