"""A machine to install on: this one's programs, with folders of its own where an installer writes."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SEPARATE = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
MAKE = """
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/etc /mnt/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/etc,workdir=/mnt/work /etc
for folder in /opt /usr/local /var/lib /var/log /run; do
    mount -t tmpfs -o "mode=755,size=$SIZE" tmpfs "$folder"
done
mkdir /usr/local/bin /usr/local/sbin
echo made
# Not exec: a process that was killed, and that nobody waits for, would go on holding its locks.
sleep infinity &
wait
"""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Box:
    """The inside of a mount, process and network namespace; what runs in it ends with it.

    /opt, /usr/local, /var/lib, /var/log and /run are empty; of /etc it has a copy. Nothing that
    is done in it changes the machine around it.
    """

    def __init__(self, inside_pid: int) -> None:
        self._enter = ("nsenter", "--target", str(inside_pid), "--mount", "--net", "--pid")

    def start(self, *command: str | Path, **environment: str) -> subprocess.Popen[str]:
        """Start a command as a process group of its own, which can be killed as a whole."""
        return subprocess.Popen(
            [*self._enter, *command],
            env={"PATH": PATH, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with self.start(*command, **environment) as process:
            out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(list(map(str, command)), process.returncode, out, err)

    def sh(self, script: str, **environment: str) -> str:
        """What a shell script prints.

        Raises:
            AssertionError: it failed; shows what it said.
        """
        done = self.run("sh", "-euc", script, **environment)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def new_box(*, size: str = "2g") -> Iterator[Box]:
    """A fresh one, or a skipped test where this machine does not allow it."""
    if os.geteuid() != 0:
        pytest.skip("namespaces of one's own need root")
    holder = subprocess.Popen(
        ["unshare", *SEPARATE, "sh", "-c", MAKE],
        env={"PATH": PATH, "SIZE": size},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stderr is not None
    try:
        if holder.stdout.readline() != "made\n":
            holder.kill()
            pytest.skip(f"this machine does not allow namespaces: {holder.stderr.read()}")
        (inside,) = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
        yield Box(int(inside))
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
        holder.stderr.close()
