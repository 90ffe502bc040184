"""`edgeapp thermal record`: this device as a trace of samples."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Duration, Flag, Period, is_there, seconds

if TYPE_CHECKING:
    from edgeapp.simulation.record import Recorder

Out = Annotated[Path | None, Parameter(name=["--out", "-o"], metavar="FILE", show_default=False)]

_OUT = Path("thermal_trace.json")
_SHORTEST_S, _LONGEST_S = 0.1, 60.0
_FIRST_KEPT = 300
_LOOK_EVERY_NS = 10_000_000_000
"""For a process that was started since."""
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def record(
    *,
    for_: Duration = None,
    every: Period = None,
    out: Out = None,
    force: Flag = False,
    device: Device = None,
    json: Flag = False,
) -> int:
    """Record this device.

    Args:
        for_: Stop after this time: 30s, 5m, 2h; until Ctrl-C, or 100,000 samples, if not given.
        every: Time between two samples, 100ms to 1m; 1s if not given.
        out: The file to write; thermal_trace.json if not given.
        force: Write over a file that is there.
        device: The device file, to find the running process whose load is ours.
        json: Print one JSON object at the end.
    """
    for_s = None if for_ is None else seconds(for_)
    every_s = 1.0 if every is None else seconds(every)
    if not _SHORTEST_S <= every_s <= _LONGEST_S:
        raise exits.Quit(exits.USAGE, f"--every is 100ms to 1m, not '{every}'")
    file = writable(out or _OUT, force=force)
    from edgeapp.core.clock import MonotonicClock
    from edgeapp.simulation.record import Recorder

    clock = MonotonicClock()
    with stopped_by_signals() as stop:
        recorder = Recorder(
            clock, _own_cores(device, clock.now_ns), name=file.stem[:64], tick_s=every_s
        )
        if not json:
            print("\n".join(_opening(recorder, file)), flush=True)
        kept = _FIRST_KEPT
        began_ns = clock.now_ns()
        while not stop.is_set() and not recorder.full:
            recorder.tick()
            if recorder.rows >= kept:  # a power cut costs at most half; a card is spared
                kept *= 2
                _write(recorder, file)
            lasts_s = (clock.now_ns() - began_ns) / 1e9
            due_s = (lasts_s // every_s + 1) * every_s  # what was slept through is not made up for
            if for_s is not None and due_s > for_s:
                break
            clock.wait(stop, due_s - lasts_s)
    return _end(recorder, file, json=json)


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and a lost terminal set, instead of ending the process.

    A thread sets it: the handler runs on the main thread, which may hold the lock of the event at
    that instant, as it waits for it, and would then wait for itself for ever.
    """
    stop = threading.Event()
    heard: SimpleQueue[bool] = SimpleQueue()  # whose `put` may be called at any instant

    def pass_on() -> None:
        if heard.get():
            stop.set()

    passing_on = threading.Thread(target=pass_on, name="signals", daemon=True)
    passing_on.start()
    before = {number: signal.getsignal(number) for number in _STOPS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup
            signal.signal(number, lambda *_: heard.put(True))
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        heard.put(False)
        passing_on.join()


def writable(file: Path, *, force: bool) -> Path:
    """The file to write.

    Raises:
        Quit: it cannot be written.
    """
    there = is_there(file)
    if file.name in {"", ".."} or (there and file.is_dir()):
        raise exits.Quit(exits.USAGE, f"'{file}' is a folder: name a file with --out")
    if there and not force:
        remedy = "name another file with --out, or add --force"
        raise exits.Quit(exits.USAGE, f"'{file}' is there already: {remedy}")
    if not file.parent.is_dir():
        raise exits.Quit(exits.NO_INPUT, f"there is no folder '{file.parent}'")
    if not os.access(file.parent, os.W_OK):
        raise exits.Quit(exits.UNAVAILABLE, f"'{file.parent}' may not be written to")
    return file


def _opening(recorder: "Recorder", file: Path) -> Iterator[str]:
    found = {signal.name: signal for signal in recorder.readings.signals()}
    heat = [
        found[name].where
        for name in ("die temperature", "board temperature", "other temperatures")
        if name in found and found[name].found
    ]
    if heat:
        yield f"Temperatures: {', '.join(heat)}."
    else:
        yield "This device has no temperature sensor: only its load and pressure are recorded."
    others = [one.name for one in found.values() if one.found and "temperature" not in one.name]
    yield f"Also: {', '.join(others)}."
    yield f"Recording to {file}; Ctrl-C ends it."


def _write(recorder: "Recorder", file: Path) -> None:
    """Write what there is.

    Raises:
        Quit: it cannot be written.
    """
    from edgeapp.simulation.trace import write_trace

    try:
        write_trace(file, recorder.trace())
    except OSError as error:
        problem = f"'{file}' cannot be written: {error.strerror}"
        raise exits.Quit(exits.UNAVAILABLE, problem) from None


def _end(recorder: "Recorder", file: Path, *, json: bool) -> int:
    from edgeapp.cli.words import plural, size, span

    if recorder.rows <= 1:
        raise exits.Quit(exits.INTERRUPTED, "ended before the second sample: nothing was written")
    _write(recorder, file)
    trace = recorder.trace()
    assert trace.samples is not None
    heat = [path for path in trace.samples.files if "temp" in path.rpartition("/")[2]]
    if json:
        from json import dumps

        facts = {
            "file": str(file),
            "samples": recorder.rows,
            "duration_s": trace.duration_s,
            "columns": trace.samples.columns,
            "temperatures": heat,
            "full": recorder.full,
        }
        print(dumps(facts))
        return exits.OK
    bytes_ = size(file.stat().st_size)
    print(
        f"{file}: {plural(recorder.rows, 'sample')} in {span(trace.duration_s)}, "
        f"{plural(len(heat), 'temperature')}, {bytes_}."
    )
    if recorder.full:
        print("It ended there, full: a longer --every records for longer.")
    if heat:
        from edgeapp.cli.program import program

        print(f"Make a device of it to simulate: {program()} thermal fit {file}")
    sys.stdout.flush()
    return exits.OK


def _own_cores(device: Path | None, now_ns: Callable[[], int]) -> Callable[[], float | None]:
    """Asks for the cores that the running edgeapp used since it was asked last; 0 while none runs."""
    from edgeapp.cli.asking import listening
    from edgeapp.service.control.server import SOCKET

    return _RunningLoad(listening(device) / SOCKET, now_ns).cores


class _RunningLoad:
    """CPU time of the process that listens at a control socket, and of its children."""

    def __init__(self, socket: Path, now_ns: Callable[[], int]) -> None:
        self._socket = socket
        self._now_ns = now_ns
        self._pid: int | None = None
        self._asked_ns: int | None = None
        self._before: tuple[int, float] | None = None

    def cores(self) -> float | None:
        """Used since the call before; None: not known yet."""
        now_ns = self._now_ns()
        if self._asked_ns is None or now_ns - self._asked_ns >= _LOOK_EVERY_NS:
            self._asked_ns = now_ns
            pid = _listener(self._socket)
            if pid != self._pid:
                self._pid, self._before = pid, None
        used_s = None if self._pid is None else _cpu_s(self._pid)
        if used_s is None:
            self._before = None
            return 0.0
        before, self._before = self._before, (now_ns, used_s)
        if before is None or now_ns <= before[0]:
            return None
        return max(0.0, used_s - before[1]) * 1e9 / (now_ns - before[0])


def _cpu_s(pid: int) -> float | None:
    """CPU time of a process and its children; None: it has ended."""
    import psutil

    try:
        process = psutil.Process(pid)
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    except psutil.Error:
        return None
    return sum(one.user + one.system for one in times)


def _listener(path: Path) -> int | None:
    """The process that listens at a control socket; None: nobody does."""
    import socket
    import struct

    from edgeapp.service.unix_socket import short

    try:
        if not path.exists():
            return None
    except OSError:  # its folder may not be looked into: it runs as somebody else
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(0.5)
        try:
            with short(path) as name:
                connection.connect(name)
            who = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        except OSError:
            return None
    pid: int = struct.unpack("iII", who)[0]
    return pid or None
