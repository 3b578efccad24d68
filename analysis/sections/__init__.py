"""One file per artefact of the paper: its tables and its figures."""
