"""Our networks beside their rivals on weeks of freshly simulated payments, by the handbook's cuts: docs/weeks.json.

A week to train, a week of label delay, a week to test, on seeds that no setting was chosen on:
`python -m models.training.weeks.run`.
"""
