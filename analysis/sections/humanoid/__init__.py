"""Section 6.3: Figures 4 and 5, Table 4, and the experiments beside them."""
