"""The transaction generator: who pays where (`population`), and what they pay day by day, frauds included (`stream`; of
many cards at once: `rings`).

After the simulator described by Le Borgne, Siblini, Lebichot, Bontempi, Reproducible Machine Learning for Credit Card Fraud
Detection: Practical Handbook (2022), chapter 3; written from its prose.
"""
