"""Lists held in memory: whether many values are on a list at their events' times, by arrays. Pure."""
