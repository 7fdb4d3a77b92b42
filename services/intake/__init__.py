"""Intake: reads a topic of the user's, whatever its key and partitioner, and writes its events to `events`, keyed by subject.

Exactly once, and without a state: which records are meant, which are bad and where each belongs is settled here, one by one.
Repetitions are found by the scorer, where all events of a subject meet. Started by `python -m services.intake`.
"""
