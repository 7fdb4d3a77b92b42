"""`python -m services.cli`: the same as the console script `assay`."""

from services.cli.app import main

if __name__ == "__main__":
    main()
