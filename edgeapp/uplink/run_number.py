"""The run number: the middle part of every message's id, higher at every start of the device."""

import os
import time
from pathlib import Path

from edgeapp.core.context import Log

_FILE = "run"
_LATEST = 2**53  # every JSON reader can hold it


def next_run(data_dir: Path, log: Log, *, wall_s: float | None = None) -> int:
    """Count one more start in `data_dir` and return its number, at least 1.

    The new number is on the disk, file and directory synced, before it is used, so no run shares
    its ids with an earlier one even after a power cut. Where the file cannot be read or written,
    the number is the wall clock in whole seconds: far above any count of starts, and a file that
    held a damaged count goes on from there. A warning says so. Two such starts within one second,
    or with a clock that was set back, could repeat a number: the price of a disk that fails.
    """
    clock_s = max(1, int(time.time() if wall_s is None else wall_s))
    file = data_dir / _FILE
    try:
        run = _read(file) + 1
    except FileNotFoundError:
        run = 1
    except (OSError, ValueError) as error:
        log.warning("run number cannot be read: counting on from the clock", problem=str(error))
        run = clock_s
    try:
        _write(file, run)
    except OSError as error:
        log.warning("run number cannot be written: using the clock", problem=str(error))
        run = max(run, clock_s)
    return run


def _read(file: Path) -> int:
    with file.open("rb") as handle:
        text = handle.read(64)
    if not text.removesuffix(b"\n").isdigit() or not 0 < int(text) < _LATEST:
        raise ValueError(f"'{file}' does not hold a run number")
    return int(text)


def _write(file: Path, run: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.tmp")
    with draft.open("wb") as handle:
        handle.write(b"%d\n" % run)
        handle.flush()
        os.fsync(handle.fileno())
    draft.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
