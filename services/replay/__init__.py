"""Scores the log again, offline, and compares every bit with what was emitted."""
