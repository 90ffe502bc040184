"""README's commands, word for word, on a Debian 12 that holds nothing else."""

import ast
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.debian import run, tree

USER = "person"
APT_FILES = (
    "sources.list",
    "sources.list.d",
    "apt.conf",
    "apt.conf.d",
    "keyrings",
    "trusted.gpg.d",
)

ENTER = """
set -e
mount -t proc proc "$ROOT/proc"
mount -t tmpfs tmpfs "$ROOT/dev/shm"
for folder in $BORROWED; do
    mkdir -p "$ROOT$folder"
    mount --bind "$folder" "$ROOT$folder"
done
ip link set lo up
exec chroot "$ROOT" su --login "$LOGIN" --command "$COMMAND"
"""


def pip_settings() -> dict[str, str]:
    """What this machine tells pip, from files and environment alike; whom it trusts, too."""
    listed = run(sys.executable, "-m", "pip", "config", "list")
    settings = {"cert": "/etc/ssl/certs/ca-certificates.crt"}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        settings[key.rpartition(".")[2]] = str(ast.literal_eval(value))
    settings.pop("config-file", None)
    return settings


class Machine:
    """A Debian in a folder, entered through its own mount and process namespaces.

    Whatever a command starts is killed when it ends.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.borrowed: list[str] = []

    def configure(self) -> None:
        """Let apt and pip in there find their packages as they do on this machine."""
        for name in APT_FILES:
            theirs, ours = Path("/etc/apt", name), self.root / "etc/apt" / name
            if theirs.is_dir():
                shutil.copytree(theirs, ours, dirs_exist_ok=True)
            elif theirs.exists():
                shutil.copy(theirs, ours)
            elif name == "sources.list":
                ours.unlink(missing_ok=True)
        for path in ("/etc/hosts", "/etc/resolv.conf"):
            shutil.copy(path, self.root / path[1:])
        lines = ["[global]"]
        for key, value in pip_settings().items():
            words = [self._reach(word) for word in value.split()]
            lines.append(f"{key} = {' '.join(words)}")
        (self.root / "etc/pip.conf").write_text("\n".join(lines) + "\n")
        proxies = [f"{k}={v}\n" for k, v in os.environ.items() if k.lower().endswith("_proxy")]
        (self.root / "etc/environment").write_text("".join(proxies))

    def _reach(self, word: str) -> str:
        """A word of pip's settings as it holds in there: folders are lent, files are copied."""
        path = Path(word.removeprefix("file://"))
        if path.is_absolute() and path.is_dir():
            # An index links to files beside it.
            self.borrowed.append(str(path.parent if word.startswith("file://") else path))
        elif path.is_absolute() and path.is_file():
            copy = Path("/srv", path.name)
            shutil.copy(path, self.root / "srv" / path.name)
            return str(copy)
        return word

    def do(
        self,
        command: str,
        *,
        user: str = USER,
        network: bool = True,
        expect: int = 0,
        limit_s: float = 900,
    ) -> str:
        """Run a command line as a person would type it; answers "y" to whatever asks."""
        separate = ["--mount", "--pid", "--fork", "--kill-child"]
        begun = time.monotonic()
        done = subprocess.run(
            ["unshare", *separate, *([] if network else ["--net"]), "sh", "-c", ENTER],
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "ROOT": str(self.root),
                "BORROWED": " ".join(self.borrowed),
                "LOGIN": user,
                "COMMAND": f"cd; [ ! -d edgeapp ] || cd edgeapp; {command}",
            },
            input="y\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit_s,
            check=False,
        )
        where = "" if network else ", network off"
        print(f"{time.monotonic() - begun:6.1f} s  {command}{where}")
        assert done.returncode == expect, f"{command} gave {done.returncode}:\n{done.stdout}"
        return done.stdout


@pytest.fixture
def machine(
    tmp_path_factory: pytest.TempPathFactory,
    system_program: Callable[[str, str], str],
) -> Iterator[Machine]:
    """A fresh Debian 12 and nothing more. The untouched one is kept for the next time."""
    debootstrap = system_program("debootstrap", "debootstrap")
    system_program("ip", "iproute2")
    if os.geteuid() != 0:
        pytest.skip("debootstrap and chroot need root")
    allowed = subprocess.run(["unshare", "-m", "-p", "-f", "-n", "true"], check=False)
    if allowed.returncode != 0:
        pytest.skip("this machine does not allow namespaces of one's own")

    pristine = tree(debootstrap, ["sudo"])
    root = tmp_path_factory.mktemp("fresh") / "root"
    run("cp", "--archive", "--reflink=auto", str(pristine), str(root))
    machine = Machine(root)
    machine.configure()
    machine.do(
        f"useradd --create-home --shell /bin/bash {USER}"
        f" && echo '{USER} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{USER} && apt-get update",
        user="root",
    )
    yield machine
    shutil.rmtree(root)


def first_commands(readme: Path) -> list[str]:
    """The commands of README before its first section."""
    opening = readme.read_text(encoding="utf-8").split("\n## ")[0]
    blocks = opening.split("```sh\n")[1:]
    return [line for block in blocks for line in block.split("```")[0].splitlines() if line]


def test_readme_begins_with_three_commands(repo: Path) -> None:
    """One apt line for what Debian lacks, then two commands that do all the set-up."""
    apt, *rest = first_commands(repo / "README.md")
    assert apt.startswith("sudo apt install ")
    assert rest == ["make demo", "make test"]


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_readme_works_on_a_fresh_debian(machine: Machine, repo: Path) -> None:
    """First run, second run and tests; then the demo once more with the network off."""
    clone = machine.root / "home" / USER / "edgeapp"
    run("git", "clone", "--quiet", "--no-hardlinks", str(repo), str(clone))
    machine.do(f"chown -R {USER}: ~{USER}/edgeapp", user="root")
    apt, demo, test = first_commands(repo / "README.md")

    machine.do("sudo apt install make python3")
    refused = machine.do(demo, expect=2)
    assert "sudo apt install python3-venv" in refused
    assert not (clone / ".venv").exists()

    machine.do(apt)
    assert "Installing into .venv" in machine.do(demo)
    assert "Installing" not in machine.do(demo)
    assert " passed" in machine.do(test)
    assert "Installing" not in machine.do(demo, network=False)
