"""The credit service: applications in, a score and a decision record for each out, exactly once.

A pipeline of its own, apart from the scoring of payments: other topics, group, bundle and process (creditworthiness is
high-risk under the EU AI Act, annex III 5(b); fraud detection is not). Started by `python -m services.credit`.
"""
