"""Trains the fraud bundle: read `train` from top to bottom."""
