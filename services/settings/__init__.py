"""Settings: every environment variable, read once, typed, documented where it is defined."""
