"""What a model takes of the memory, measured in a process of its own."""

import subprocess
import sys
from pathlib import Path

_LOAD_TIMEOUT_S = 120.0

_LOAD = """
import resource
import sys
from pathlib import Path
from edgeapp.core.clock import MonotonicClock
from edgeapp.models.session import Pool

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

file = Path(sys.argv[1])
with Pool(MonotonicClock()).lease(file) as first:
    first.warm_up()
    before = resident_bytes()
    with Pool(MonotonicClock()).lease(file) as second:
        second.warm_up()
        print(resident_bytes() - before)
"""


def memory_mb(file: Path) -> float | None:
    """What loading a model and running it once adds to the resident memory, in MB.

    In a process of its own, since what this one let go of is not given back to the system; and in
    addition to another model, for the first one brings what onnxruntime takes only once (10 to 25
    MB). None where that process fails.
    """
    try:
        said = subprocess.run(  # noqa: S603 - our own interpreter and text
            [sys.executable, "-c", _LOAD, str(file)],
            capture_output=True,
            text=True,
            check=True,
            timeout=_LOAD_TIMEOUT_S,
        ).stdout
        return max(0.0, int(said) / 1e6)
    except (subprocess.SubprocessError, OSError, ValueError):
        return None
