"""The fault suite: a running system, faults chosen by a seed, and an oracle that knows."""
