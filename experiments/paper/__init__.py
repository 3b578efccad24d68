"""The paper as data: settings with their sources, readings of what it leaves open, and which runs each artefact needs."""
