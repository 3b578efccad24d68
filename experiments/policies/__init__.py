"""Saved policies, played and filmed."""
