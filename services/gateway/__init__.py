"""The synchronous door: an event comes in over HTTP and goes through the log; its committed decision goes back.

It decides nothing: it validates as the scorer does, writes to the input and reads `answers`, of which its memory is a cache.
"""
