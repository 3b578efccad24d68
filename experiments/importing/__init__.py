"""Runs of other people's programs: read from the logs that these leave, and kept beside ours."""
