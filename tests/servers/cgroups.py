"""Control groups of one's own, in every hierarchy of this machine: v1, v2 or both."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PREFIX = "edgeapp-test-"
"""What the groups are called; the process that made them follows, and which of its groups it is."""
_PATIENCE_S = 60.0
_WANTED = frozenset({"cpu", "io", "memory", "pids"})


@dataclass(frozen=True, slots=True)
class Group:
    """A group in one hierarchy."""

    folder: Path
    kind: str
    """`cgroup` or `cgroup2`."""
    options: str
    """For mounting the hierarchy: its controllers, or its name; "" for v2."""
    place: str
    """Where systemd looks for it, below /sys/fs/cgroup; "" for a v2 that is alone."""

    def add(self, pid: int) -> None:
        """Move a process into it."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def controllers(self) -> set[str]:
        """What it can limit."""
        if self.kind == "cgroup":
            return {name for name in self.options.split(",") if name.isalpha() and name != "none"}
        return set((self.folder / "cgroup.controllers").read_text().split())

    def remove(self) -> None:
        """Kill who is in it and in those below, and remove them all."""
        until_s = time.monotonic() + _PATIENCE_S
        while self.folder.exists() and time.monotonic() < until_s:
            for path, _, _ in os.walk(self.folder, topdown=False):
                with suppress(OSError):
                    for pid in Path(path, "cgroup.procs").read_text().split():
                        os.kill(int(pid), 9)
                with suppress(OSError):
                    Path(path).rmdir()
            time.sleep(0.01)


def make(number: int) -> list[Group]:
    """Groups for what this process starts as its machine `number`, below those that it is in.

    Raises:
        OSError: this machine lets us make none.
    """
    groups: list[Group] = []
    try:
        for parent in _own():
            # v2: may fail, as where others share the group; the machine then has no limits.
            with suppress(OSError):
                offered = (parent.folder / "cgroup.controllers").read_text().split()
                wanted = [f"+{name}" for name in offered if name in _WANTED]
                (parent.folder / "cgroup.subtree_control").write_text(" ".join(wanted))
            folder = parent.folder / f"{PREFIX}{os.getpid()}-{number}"
            folder.mkdir(exist_ok=True)
            groups.append(Group(folder, parent.kind, parent.options, parent.place))
            if "cpuset" in parent.options:  # of v1: takes nobody before it is told of these
                for name in ("cpuset.cpus", "cpuset.mems"):
                    (folder / name).write_text((parent.folder / name).read_text())
    except OSError:
        for group in groups:
            group.remove()
        raise
    return groups


def left_of(pid: int) -> list[Path]:
    """The groups of a process that there still are."""
    return [folder for parent in _own() for folder in parent.folder.glob(f"{PREFIX}{pid}-*")]


def remove_strays() -> None:
    """Remove groups whose makers are gone."""
    for parent in _own():
        for folder in parent.folder.glob(f"{PREFIX}*"):
            if not Path("/proc", folder.name.removeprefix(PREFIX).partition("-")[0]).exists():
                Group(folder, parent.kind, parent.options, parent.place).remove()


def _own() -> Sequence[Group]:
    """Those that this process is in."""
    mounted: dict[str, tuple[Path, str]] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            mounted[""] = (Path(before.split()[4]), before.split()[3])
        elif kind == "cgroup":
            words = [w for w in options.split(",") if w not in {"rw", "ro", "xattr"}]
            names = [w for w in words if not w.startswith(("release_agent=", "clone_children"))]
            mounted[",".join(sorted(names))] = (Path(before.split()[4]), before.split()[3])
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, named, path = line.split(":", 2)
        key = ",".join(sorted(named.split(",")))
        if key not in mounted:
            continue
        top, root = mounted[key]
        folder = top / os.path.relpath(path, root)
        if named == "":
            found.append(Group(folder, "cgroup2", "", "unified"))
        elif named.startswith("name="):
            found.append(Group(folder, "cgroup", f"none,{named}", named.removeprefix("name=")))
        else:
            found.append(Group(folder, "cgroup", named, named))
    if len(found) == 1 and found[0].kind == "cgroup2":
        return [Group(found[0].folder, "cgroup2", "", "")]
    return found
