"""Features: one fold over the log, used by trainer, scorer and replay alike.

A spec (`spec_file`) is laid out as numbers (`layout`), which a compiled kernel (`kernel`) runs over a batch (`columns`) and
the cards' histories (`state`); `fold` is the door. No wall clock, no randomness: same inputs in the same order, same bits.
"""
