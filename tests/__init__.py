"""Tests, in the source's own layout."""

import models  # noqa: F401  # turns ONNX Runtime's telemetry off, before a test imports it
