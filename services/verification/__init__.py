"""The independent oracle: reads the input and every output back and says whether each input was answered exactly once.

It shares no code with the scorer but the schemas: what it finds, any outsider with a Kafka client could find.
"""
