"""The `assay` command line: one command, one file."""
