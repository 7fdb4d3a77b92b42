"""A process's metrics and logs, and their catalogues."""
