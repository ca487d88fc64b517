"""`python -m wsabench`: the command line."""

import sys

from wsabench.cli.application import main

if __name__ == "__main__":
    sys.exit(main())
