"""The profiler: adds up what the scorer's partitions and the labels say of each terminal, and publishes it as a table.

`verdicts` turns `labels` into partial sums beside the scorer's own; `merge` turns `terminal-sums` into
`terminal-profiles`. Both on the engine: exactly once, state a cache of the log. Started by `python -m services.profiler`.
"""
