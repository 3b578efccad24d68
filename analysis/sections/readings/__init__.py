"""What the text leaves open: the study of readings, and the rule that chooses one."""
