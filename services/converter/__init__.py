"""Copies of scores, alerts and decisions as Avro or Protobuf with registered schemas, exactly once, in a process apart."""
