"""Commands that run a service, or traffic for it."""
