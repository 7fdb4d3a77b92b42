"""Streams generated card payments to `transactions`: pure payloads (`payloads`) and an open loop to Kafka (`stream`)."""
