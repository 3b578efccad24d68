"""Measured and published numbers as tables, and statistics over them."""
