"""The study of the details that the text omits, and the rule that chooses a reading."""
