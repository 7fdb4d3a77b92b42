"""Streams of other shapes than ours, and the way of each from `assay init` to alerts."""
