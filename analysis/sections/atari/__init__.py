"""Section 6.4: Figure 6, Tables 2 and 6, and tables beside them."""
