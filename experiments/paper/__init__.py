"""The paper as data: settings with sources, readings of the details that it omits, and each artefact's runs."""
