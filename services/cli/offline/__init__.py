"""Commands over files and over the log: scoring, checks, replay, data sets."""
