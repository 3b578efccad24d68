"""Code that exists only for speed. Each piece has a plain twin of a few lines, and tests compare the two."""
