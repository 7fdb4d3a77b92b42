"""The profiler: adds up what the scorer's partitions and the labels say of each terminal, and publishes it as a table.

`labels` judges labels, for the profiler and for `assay entities`; `sums` makes of them partial sums of terminals beside the
scorer's own; `merge` turns `terminal-sums` into `terminal-profiles`. All on the engine: exactly once, state a cache of the
log. Started by `python -m services.profiler`.
"""
