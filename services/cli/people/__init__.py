"""Commands of analysts: cases, labels, monitoring, privacy."""
