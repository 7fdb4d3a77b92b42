"""Commands on bundles and the registry."""
