"""Formats of tables and the style of figures."""
