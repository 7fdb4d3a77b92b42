"""The processes: each folder is one service, started by `python -m services.NAME`; they meet through topics only."""
