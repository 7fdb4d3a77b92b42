"""Scoring: a checked bundle on ONNX Runtime, on the CPU or a GPU, and the reasons behind an alert."""
