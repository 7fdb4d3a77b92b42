"""`report.html` of a bundle: what a risk officer needs to read before the model decides anything, in one file.

One section, one file; `page.py` puts them together. No script, nothing fetched, the same run gives the same bytes.
"""
