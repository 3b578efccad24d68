"""The paper as data: settings and their sources, readings of what it leaves open, the runs of each artefact."""
