"""`python -m wsabench`: the command line."""

import sys
from pathlib import Path

if __name__ == "__main__":
    if not sys.flags.safe_path and sys.path[0] == str(Path.cwd()):
        sys.path.append(sys.path.pop(0))  # files that happen to be called like packages are not run instead of them

    from wsabench.cli.application import main

    sys.exit(main())
