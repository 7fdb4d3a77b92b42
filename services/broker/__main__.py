"""`python -m services.broker`: the embedded Kafka in the foreground."""

import sys

import typer

from services.broker.foreground import run_foreground
from services.errors import AssayError

if __name__ == "__main__":
    try:
        typer.run(run_foreground)
    except AssayError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
