"""Trains generators of rows, and judges what they draw."""
