"""`python -m edgeapp` is the command `edgeapp`."""

import sys

from edgeapp.cli import main

if __name__ == "__main__":
    sys.exit(main())
