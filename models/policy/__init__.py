"""A policy compiled to operations on a batch's columns. Pure: the scorer, the replay and the command line share it."""

from models.policy.lists import Lists

__all__ = ["Lists"]
