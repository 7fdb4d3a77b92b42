"""Keys of persons and card ids: pseudonyms, decisions sealed per subject, erasure."""
