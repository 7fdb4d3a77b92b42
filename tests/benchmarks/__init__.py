"""Measuring sticks: the baseline loop, the peers, and the product beside them in one run. No timing here is a test."""
