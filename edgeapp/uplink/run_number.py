"""The run number: the middle part of every message's id, higher at every start of the device."""

import random
import time
from pathlib import Path

from edgeapp.core.context import Log
from edgeapp.core.whole_file import read_start, write_whole

_FILE = "run"
_LATEST = 2**53  # every JSON reader can hold it
_LAST_SECOND = 2**32  # that a clock is believed, in 2106: so the number stays below _LATEST
_CHANCE_BITS = 20


def next_run(
    data_dir: Path, log: Log, *, wall_s: float | None = None, chance: random.Random | None = None
) -> int:
    """Count one more start in `data_dir` and return its number, at least 1.

    The new number is on the disk, file and directory synced, before it is used, so no run shares
    its ids with an earlier one even after a power cut. Where the file cannot be read or written,
    the number is made of the wall clock in whole seconds and, below it, 20 random bits, since a
    device whose disk fails may be one whose clock begins anew at every start: far above any count
    of starts, and a file that held a damaged count goes on from there. A warning says so.
    """
    chance = chance or random.Random()  # noqa: S311  tells starts apart, hides nothing
    clock_s = min(max(1, int(time.time() if wall_s is None else wall_s)), _LAST_SECOND)
    guess = (clock_s << _CHANCE_BITS) + chance.getrandbits(_CHANCE_BITS)
    file = data_dir / _FILE
    try:
        run = _read(file) + 1
    except FileNotFoundError:
        run = 1
    except (OSError, ValueError) as error:
        log.warning("run number cannot be read: counting on from the clock", problem=str(error))
        run = guess
    try:
        write_whole(file, b"%d\n" % run)
    except OSError as error:
        log.warning("run number cannot be written: using the clock", problem=str(error))
        run = max(run, guess)
    return run


def _read(file: Path) -> int:
    text = read_start(file, 64)
    if not text.removesuffix(b"\n").isdigit() or not 0 < int(text) < _LATEST:
        raise ValueError(f"'{file}' does not hold a run number")
    return int(text)
