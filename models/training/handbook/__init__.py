"""The Fraud Detection Handbook's protocol on its own simulated payments: our features and networks beside its tables.

Le Borgne, Siblini, Lebichot, Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection: Practical Handbook",
2022. The payments are not part of this project: `python -m models.training.handbook.run --data DIR` takes a directory.
"""
