"""A Debian in a folder, made once by debootstrap and kept for the next time."""

import fcntl
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.wheelhouse import cache

SUITE = "bookworm"


def run(*command: str, **environment: str) -> str:
    """Run a program of this machine; its output, or a failed test that shows it."""
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}"
    return done.stdout


def mirror() -> list[str]:
    """Where this machine's own apt takes Debian from, for debootstrap; [] = its default."""
    if shutil.which("apt-get") is None:
        return []
    listed = run(
        *("apt-get", "indextargets", "--format", "$(REPO_URI)"),
        *("Created-By: Packages", f"Codename: {SUITE}", "Component: main"),
    )
    return listed.splitlines()[:1]


def tree(debootstrap: str, packages: Sequence[str]) -> Path:
    """The smallest Debian with these packages and no others. Copy it: it is never written to.

    `debootstrap` is the program; it is run at the first call for these packages, as root.
    """
    pristine = cache() / "-".join(["debian", SUITE, *sorted(packages)])
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once
        if not pristine.exists():
            unfinished = pristine.with_name(f"{pristine.name}.tmp")
            shutil.rmtree(unfinished, ignore_errors=True)
            options = ("--variant=minbase", f"--include={','.join(packages)}")
            run(debootstrap, *options, SUITE, str(unfinished), *mirror())
            unfinished.rename(pristine)
    return pristine
