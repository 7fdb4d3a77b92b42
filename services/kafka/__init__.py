"""Kafka: clients, patches of the client library, requests that it lacks, topics, rights."""
