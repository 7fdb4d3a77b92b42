"""The trainer, which reads top to bottom: data, fit, evaluate, choose thresholds, export, pack, report."""
