"""The demo's parts: `run` starts and ends everything, `observer` reads what is committed, `view` draws it."""
