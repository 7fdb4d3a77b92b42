"""A user's stream or file, read as its source spec says: one parser, made of the spec at the start, from bytes to columns."""
