"""Reads results/ and makes the paper's tables and figures from it. Never trains, never writes measured data."""
