"""The profiler: adds up what the scorer's partitions and the labels say of each terminal, and publishes it as a table.

`labels` worked by `verdicts` become partial sums beside the scorer's own; `terminal-sums` worked by `merge` becomes
`terminal-profiles`. Both on the runtime: exactly once, state a cache of the log. Started by `python -m services.profiler`.
"""
