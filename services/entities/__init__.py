"""The history of entities (devices, merchants, payees) over the whole stream, as a chain of stages.

`routing` sends each event of the source to its first entity on `entity-events`; `stage` folds it there, adds the entity's
values to its header, and sends it to the next entity, in the end to its subject's partition of `entity-features`, which the
scorer reads. All on the engine: exactly once, state a cache of the log. Started by `assay entities`.
"""
