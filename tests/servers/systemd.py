"""A machine of its own: a real systemd, booted from a copy of a Debian in a folder.

It has its own processes, mounts, host name, control groups and network. From that network nothing
can be reached but this side of one cable, `Machine.outside`: there a test has its broker.
"""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers import cgroups
from tests.servers.debian import tree
from tests.servers.mosquitto import wait_until

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus"),
    *("python3-minimal", "libpython3-stdlib"),
    "iproute2",
)
_NEEDED = (
    *(("debootstrap", "debootstrap"), ("ip", "iproute2")),
    *(("unshare", "util-linux"), ("nsenter", "util-linux")),
)
_SBIN = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_NAMESPACES = ("--mount", "--cgroup", "--pid", "--fork", "--uts", "--ipc", "--net", "--kill-child")

_GUARDIAN = """
sh -c 'for group in $JOINED; do echo $$ >"$group/cgroup.procs"; done; exec unshare "$@"' \
    sh "$@" sh -c "$BOOT" </dev/null >"$FOLDER/console" 2>&1 &
machine=$!
echo "$machine"
read -r word
kill -9 "$machine" 2>/dev/null
wait "$machine" 2>/dev/null
for attempt in $(seq 100); do
    left=
    for group in $JOINED; do
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + || left=yes
    done 2>/dev/null
    [ -n "$left" ] || break
    sleep 0.05
done
[ "$word" = keep ] || rm -rf "$FOLDER"
"""
"""Starts the machine; ends it and removes what is left when its input ends, however that comes."""

_BOOT = """
set -eu
mount --make-rprivate /
R=$FOLDER/root
mount_copy
mount -t tmpfs -o mode=755 tmpfs "$R/run"
mount -t tmpfs -o mode=755 tmpfs "$R/dev"
for name in null zero full random urandom tty; do
    : >"$R/dev/$name"
    mount --bind "/dev/$name" "$R/dev/$name"
done
: >"$R/dev/console"
mount --bind /dev/null "$R/dev/console"
mkdir "$R/dev/pts" "$R/dev/shm"
mount -t tmpfs tmpfs "$R/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$R/dev/pts"
ln -s pts/ptmx "$R/dev/ptmx"
ln -s /proc/self/fd "$R/dev/fd"
mount -t proc proc "$R/proc"
# What the kernel has only one of is not this machine's to set.
mount --bind "$R/proc/sys" "$R/proc/sys"
mount -o remount,bind,ro "$R/proc/sys"
cat /proc/sys/kernel/random/uuid >"$R/run/boot_id"
mount --bind "$R/run/boot_id" "$R/proc/sys/kernel/random/boot_id"
mount -t sysfs -o ro sysfs "$R/sys"
if [ "$HIERARCHIES" = cgroup2:: ]; then
    mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"
else
    mount -t tmpfs -o mode=755 tmpfs "$R/sys/fs/cgroup"
    for hierarchy in $HIERARCHIES; do
        IFS=: read -r kind options place <<END
$hierarchy
END
        mkdir "$R/sys/fs/cgroup/$place"
        mount -t "$kind" ${options:+-o "$options"} cgroup "$R/sys/fs/cgroup/$place"
    done
fi
ip link set lo up
mkdir "$R/run/outside"
cd "$R"
pivot_root . run/outside
umount -l /run/outside
rmdir /run/outside
mount --make-rshared / # as systemd does outside of containers: services get credentials that way
echo "$NAME" >/etc/hostname
exec env -i container=edgeapp-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --log-target=journal
"""

_COPY = {
    "overlay": """
mount_copy() {
    mkdir -p "$FOLDER/upper" "$FOLDER/work"
    mount -t overlay -o "lowerdir=$TREE,upperdir=$FOLDER/upper,workdir=$FOLDER/work" overlay "$R"
}""",
    "whole": """
mount_copy() {
    [ -d "$FOLDER/copy" ] || cp --archive --reflink=auto "$TREE" "$FOLDER/copy"
    mount --bind "$FOLDER/copy" "$R"
}""",
}

_NUMBERS = count()


class MachinesMissingError(Exception):
    """This machine lets nobody boot another one in it; says why."""


class Machine:
    """A Debian 12 with systemd. Within the block it runs; after it nothing is left of it."""

    def __init__(self, folder: Path) -> None:
        """Prepare one in a folder that does not exist yet.

        Raises:
            MachinesMissingError: it cannot be booted here.
        """
        self._tree = _tree()
        self._folder = folder
        self._number = next(_NUMBERS)
        self._name = f"edge{os.getpid() % 100_000}n{self._number}"
        third, fourth = divmod((os.getpid() + 131 * self._number) % (256 * 64), 64)
        self.outside = f"10.213.{third}.{4 * fourth + 1}"
        """This side of its only cable: here a test listens."""
        self.address = f"10.213.{third}.{4 * fourth + 2}"
        """Its own."""
        self.limits: set[str] = set()
        """The controllers that hold for its services: `memory`, `pids`, ..."""
        self._guardian: subprocess.Popen[str] | None = None
        self._groups: list[cgroups.Group] = []
        self._init = 0
        (folder / "root").mkdir(parents=True)

    def __enter__(self) -> Self:
        self.boot()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end("")

    def boot(self) -> None:
        """Start it, and wait until systemd has started everything.

        Raises:
            MachinesMissingError: it cannot be booted here.
        """
        cgroups.remove_strays()
        try:
            self._groups = cgroups.make(self._number)
        except OSError as error:
            raise MachinesMissingError(f"control groups cannot be made: {error}") from error
        self.limits = set().union(*(group.controllers() for group in self._groups))
        self._guardian = subprocess.Popen(
            ["sh", "-c", _GUARDIAN, "sh", *_NAMESPACES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for pytest, which then ends its input
            env={
                "PATH": _SBIN,
                "BOOT": _COPY["overlay" if _overlays(self._folder) else "whole"] + _BOOT,
                "FOLDER": str(self._folder),
                "TREE": str(self._tree),
                "NAME": self._name,
                "JOINED": " ".join(str(group.folder) for group in self._groups),
                "HIERARCHIES": " ".join(f"{g.kind}:{g.options}:{g.place}" for g in self._groups),
            },
        )
        try:
            self._plug_in()
            wait_until(self._booted, "the machine boots")
        except BaseException as error:
            console = self._folder / "console"
            said = console.read_text(errors="replace") if console.exists() else ""
            self._end("keep")
            if isinstance(error, TimeoutError | OSError):
                raise MachinesMissingError(f"it does not boot here: {error} {said}") from error
            raise

    def poweroff(self) -> None:
        """Shut it down in order; its disk stays, for `boot`."""
        self.run("systemctl poweroff --no-block")
        wait_until(lambda: not Path("/proc", str(self._init)).exists(), "the machine is off")
        self._end("keep")

    def cut_power(self) -> None:
        """End it at once; what its kernel had been given to write stays, for `boot`."""
        self._end("keep")

    def do(
        self, command: str, *, text: str | None = None, limit_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a command line as root; both of its outputs are in `stdout`."""
        return subprocess.run(
            self._inside("sh", "-c", command),
            input="" if text is None else text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )

    def run(
        self, command: str, *, expect: int = 0, text: str | None = None, limit_s: float = 300
    ) -> str:
        """Run a command line as root; its output, or a failed test that shows it."""
        done = self.do(command, text=text, limit_s=limit_s)
        assert done.returncode == expect, f"{command} gave {done.returncode}:\n{done.stdout}"
        return done.stdout

    def systemctl(self, *words: str, expect: int = 0) -> str:
        """Run systemctl."""
        return self.run(shlex.join(["systemctl", "--no-pager", "--full", *words]), expect=expect)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit, as `systemctl show` has it."""
        return self.systemctl("show", "--value", "--property", name, unit).strip()

    def journal(self, unit: str, *matches: str) -> list[dict[str, str]]:
        """What was logged by a unit and of it, oldest first; further matches narrow it down."""
        words = ["journalctl", "--no-pager", "--output=json", "--all", f"--unit={unit}", *matches]
        lines = self.run(f"journalctl --sync; {shlex.join(words)}").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def write(self, path: str, text: str, *, mode: str = "0644") -> None:
        """Write a file; its folder is made."""
        self.run(f"install -D -m {mode} /dev/stdin {shlex.quote(path)}", text=text)

    def copy_in(self, source: Path, target: str) -> None:
        """Copy a file, or what is in a folder, into the folder `target`."""
        within, what = (source, ".") if source.is_dir() else (source.parent, source.name)
        self.run(f"mkdir -p {shlex.quote(target)}")
        options = ["--extract", "--no-same-owner", f"--directory={target}"]
        with subprocess.Popen(
            ["tar", "--create", f"--directory={within}", "--", what], stdout=subprocess.PIPE
        ) as packed:
            subprocess.run(self._inside("tar", *options), stdin=packed.stdout, check=True)
        assert packed.returncode == 0

    def _inside(self, *command: str) -> list[str]:
        """Argv that runs a command in there."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        words = ["HOME=/root", "LC_ALL=C.UTF-8", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", path]
        entered = ["nsenter", f"--target={self._init}", "--all"]
        return [*entered, "env", "--chdir=/root", "-i", *words, *command]

    def _plug_in(self) -> None:
        """Find its first process and lay the cable."""
        assert self._guardian is not None
        assert self._guardian.stdout is not None
        outer = int(self._guardian.stdout.readline())
        children = Path(f"/proc/{outer}/task/{outer}/children")
        wait_until(lambda: _read(children) != "", "the machine has a first process")
        self._init = int(_read(children))
        _ip("link", "add", self._name, "type", "veth", "peer", "eth0", "netns", str(self._init))
        _ip("address", "add", f"{self.outside}/30", "dev", self._name)
        _ip("link", "set", self._name, "up")
        there = ["nsenter", f"--target={self._init}", "--net", "ip"]
        for words in (f"address add {self.address}/30 dev eth0", "link set eth0 up"):
            _program([*there, *words.split()])

    def _booted(self) -> bool:
        if not Path("/proc", str(self._init)).exists():
            raise OSError("its first process has ended")
        if _read(Path(f"/proc/{self._init}/comm")).strip() != "systemd":
            return False
        return self.do("systemctl is-system-running").stdout.strip() in {"running", "degraded"}

    def _end(self, word: str) -> None:
        guardian, self._guardian = self._guardian, None
        if guardian is not None:
            guardian.communicate(f"{word}\n")
        for group in self._groups:
            group.remove()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _ip(*words: str) -> None:
    _program(["ip", *words])


def _program(command: Sequence[str]) -> None:
    """Run a program that a machine cannot be without."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": _SBIN})
    if done.returncode != 0:
        raise MachinesMissingError(f"{shlex.join(command)}: {done.stderr.strip()}")


def _overlays(folder: Path) -> bool:
    """Whether a folder can be what is written of an overlay."""
    trial = folder / "trial"
    for name in ("lower", "upper", "work", "root"):
        (trial / name).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={trial}/lower,upperdir={trial}/upper,workdir={trial}/work"
    command = ["unshare", "--mount", "mount", "-t", "overlay", "-o", options]
    done = subprocess.run(
        [*command, "overlay", str(trial / "root")], check=False, capture_output=True
    )
    shutil.rmtree(trial)
    return done.returncode == 0


def _tree() -> Path:
    """The Debian that machines are copies of."""
    if os.geteuid() != 0:
        raise MachinesMissingError("booting a machine needs root: use a privileged container")
    for program, package in _NEEDED:
        if shutil.which(program, path=_SBIN) is None:
            raise MachinesMissingError(f"'{program}' is not installed: sudo apt install {package}")
    _program(["unshare", *_NAMESPACES, "mount", "-t", "tmpfs", "tmpfs", "/run"])
    return tree(str(shutil.which("debootstrap", path=_SBIN)), PACKAGES)
