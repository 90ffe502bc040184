"""CPU time of this process and its children, while they run."""

import re
import time
from collections.abc import Callable
from pathlib import Path

from edgeapp.core.clock import NS
from edgeapp.watchdog.signals.files import Files
from edgeapp.watchdog.signals.values import names_in

TICK_NS = NS // 100
"""USER_HZ is 100 on every Linux that Python runs on."""
LOOK_EVERY_S = 10.0
"""Children are looked for that often."""
MOST_CHILDREN = 32

_USED = re.compile(rb"\) \S(?: -?[0-9]+){10} ([0-9]{1,19}) ([0-9]{1,19}) ")
"""`utime` and `stime`, the 14th and 15th field (man 5 proc_pid_stat)."""


class ProcessCpu:
    """CPU time that we and our children use; rises only. One thread.

    `os.times` counts a child when it has ended: hours of work would come at once. A child counts from
    when it is seen first, and children of children do not.
    """

    def __init__(
        self,
        files: Files,
        *,
        proc_root: Path = Path("/proc"),
        own_ns: Callable[[], int] = time.process_time_ns,
    ) -> None:
        self._files = files
        self._proc = str(proc_root)
        self._own_ns = own_ns
        self._looked_ns: int | None = None
        self._children: dict[str, int] = {}
        """Ticks that each child had used when seen last."""
        self._ticks = 0
        """That all children used while they were seen."""

    def total_ns(self, now_ns: int) -> int:
        """In nanoseconds since some fixed point; `now_ns` is monotonic."""
        if self._looked_ns is None or now_ns - self._looked_ns >= LOOK_EVERY_S * NS:
            self._looked_ns = now_ns
            self._look()
        for child, before in list(self._children.items()):
            ticks = self._ticks_of(child)
            if ticks is None:
                del self._children[child]
            else:
                self._ticks += max(0, ticks - before)
                self._children[child] = ticks
        return self._own_ns() + self._ticks * TICK_NS

    def _look(self) -> None:
        for thread in names_in(self._files, f"{self._proc}/self/task"):
            try:
                text = self._files.read(f"{self._proc}/self/task/{thread}/children")
            except OSError:
                continue  # the thread has ended, or the kernel has no CONFIG_PROC_CHILDREN
            for child in text.decode("ascii", "ignore").split():
                if child in self._children or len(self._children) >= MOST_CHILDREN:
                    continue
                if child.isdecimal() and (ticks := self._ticks_of(child)) is not None:
                    self._children[child] = ticks

    def _ticks_of(self, child: str) -> int | None:
        try:
            text = self._files.read(f"{self._proc}/{child}/stat")
        except OSError:
            return None
        # The second field is a name that may hold anything, brackets too: count from behind it.
        match = _USED.match(text, text.rfind(b")"))
        return int(match[1]) + int(match[2]) if match else None
