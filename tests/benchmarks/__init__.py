"""Measuring sticks: the lean limit, the peers, and the product beside them in one run. No timing here is a test."""
