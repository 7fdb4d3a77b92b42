"""Dashboards, rules and traces against the real Prometheus."""
