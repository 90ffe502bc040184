"""`make bench`: the cost measurements alone, on the terminal."""

import sys

from benchmarks.accept import COST

for measure in COST:
    for row in measure():
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
