"""`assay source`, `assay init`: from a topic or a file of the user's to a source spec, and a look at what it reads."""
