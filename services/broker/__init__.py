"""The embedded broker: a real Apache Kafka as a child process, with nothing but pip. For demo, tests and trying out."""

from services.broker.registry import EmbeddedRegistry
from services.broker.server import EmbeddedKafka

__all__ = ["EmbeddedKafka", "EmbeddedRegistry"]
