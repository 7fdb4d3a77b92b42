"""Tests, in the source's own layout."""
