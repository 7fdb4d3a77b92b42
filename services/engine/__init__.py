"""The Kafka micro-batch runtime: one worker, one state, one transactional producer per input partition.

It knows nothing of fraud: a service gives it a `Processor` (see `worker`) and gets exactly-once delivery, snapshots,
health, metrics and a clean end.
"""
