"""Payments drawn from a trained generator: what every column looks like (`marginals`), the artefact, and the stream of days."""
