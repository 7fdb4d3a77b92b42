"""What crosses a boundary: the one declaration of every message, topic and manifest.

Everything that is read from or written to a topic or a file of ours has its pydantic model in this package, and nothing is
declared twice: the hot path's decoder (`codec`) and the exported JSON Schemas (`json/`) are derived from these models.
"""
