"""The kinds of features that a spec may declare, for payments and applications alike.

`event` reads one event, `history` what came before it; `base` is what they share.
"""
