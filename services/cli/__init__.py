"""The command line `assay`: one command, one file; `app` wires them. Heavy imports happen inside the commands."""
