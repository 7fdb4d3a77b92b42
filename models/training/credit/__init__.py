"""Trains the credit bundle, and measures credit models on public data."""
