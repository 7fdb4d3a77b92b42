"""The monitor of credit: drift and delayed performance of what judges applications, by the code of `services/monitor`.

A process, a group and topics of its own: credit shares nothing with payments. Started by `python -m services.credit_monitor`.
"""
