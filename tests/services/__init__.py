"""Tests of the services, most of them against a real Apache Kafka."""
