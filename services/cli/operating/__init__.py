"""Commands for operators: topics, rights, diagnosis, outputs, capacity."""
