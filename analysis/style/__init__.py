"""How a table is printed and a figure drawn."""
