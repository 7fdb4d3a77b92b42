"""The monitor: drift from partial sums, quality from delayed labels. On Faust; it never sees a payment that was not recorded.

`drift` and `quality` are the arithmetic, pure; `windows` adds sums up, `ledger` joins scores with labels, `evidence` brings
both to the one partition where they meet. Started by `python -m services.monitor`.
"""
