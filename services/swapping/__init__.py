"""What scores, or judges, and how it is changed while it does: bundles and policies, commands, acknowledgements, the way back.

One code for payments and for applications: each has a consumer group, topics of commands and answers, folders of the registry
and a line of its own.
"""
