"""The bundle: what a model is outside the trainer. Files that are signed, sealed, checked before use, and published."""
