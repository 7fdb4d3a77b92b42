"""The bundle: what a model is outside the trainer. One directory: manifest, graph and reference, each checked before use."""
