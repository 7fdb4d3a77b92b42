"""What the low-rate services share: Faust with its gaps closed. At least once; every effect is idempotent by source position.

Faust reads uncommitted records, commits past a failed write and swallows errors of agents. Here it reads what is committed
(`transport`), a failed write or agent ends the process before an offset is committed past it (`app`), and a watchdog sees a
consumer that makes no progress (`watch`). The state is a Faust table; its changelog is a topic of `schemas/topics.py`.
"""
