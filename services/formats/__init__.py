"""From the bytes of any topic to the JSON documents that a source spec's parser reads: formats, registry, envelopes.

    reader = open_reader(source, load(SchemaRegistrySettings), bytes_max=…)
    await reader.prepare(records)               # looks up the schemas that the records name and no one looked up before
    made = [reader.to_json(record) for record in records]    # bytes, Fault or PassedOver each

A registry that does not answer is waited for in `prepare`, and makes no dead letters.
"""

from services.formats.reader import PassedOver, RecordReader, open_reader

__all__ = ["PassedOver", "RecordReader", "open_reader"]
