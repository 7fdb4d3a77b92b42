"""docs/results.md, written from what was measured."""
