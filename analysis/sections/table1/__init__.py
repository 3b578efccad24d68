"""Section 6.1: Table 1, the runs and the curves behind it, and how much it depends on its seeds."""
