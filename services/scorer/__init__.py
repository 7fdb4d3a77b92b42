"""The scorer: decode, fold, score, decide; one stage a file, joined in `processor`, started by `python -m services.scorer`."""
