"""Cases: alerts grouped by card and window for an analyst, and what the analyst decides, as labels. On Faust.

`rules` says which decisions and mutes are taken, also for what writes them. `grouping` says what an
alert or an action does to a case, pure; `desk` applies it to the tables; `webhook` posts cases to a receiver.
Started by `python -m services.cases`.
"""
