"""Set-up says in one sentence what is missing, and leaves a whole .venv or none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = (
    "cat",
    "cksum",
    "cut",
    "dirname",
    "flock",
    "grep",
    "mkdir",
    "mv",
    "rm",
    "sed",
    "sh",
    "tail",
    "tee",
    "uname",
)
TINY_PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "edgeapp"
version = "1"
[project.optional-dependencies]
all = []
[project.scripts]
edgeapp = "edgeapp:main"
[dependency-groups]
build = ["pip>=25.1", "hatchling", "editables"]
test = ["iniconfig"]
check = ["iniconfig"]
"""


class Checkout:
    """A checkout of a project without dependencies, and a PATH that holds what one puts there."""

    def __init__(self, folder: Path, script: Path, constraints: Path) -> None:
        self.folder = folder
        self.bin = folder.parent / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.bin / tool).symlink_to(found)
        (folder / "deploy").mkdir(parents=True)
        (folder / "edgeapp").mkdir()
        shutil.copy(script, folder / "deploy")
        shutil.copy(constraints, folder)
        (folder / "pyproject.toml").write_text(TINY_PROJECT)
        (folder / "edgeapp/__init__.py").write_text("def main() -> None:\n    print('it runs')\n")

    def fake(self, program: str, script: str) -> None:
        """Put a program on PATH that does what a shell script says."""
        (self.bin / program).unlink(missing_ok=True)
        (self.bin / program).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / program).chmod(0o755)

    def set_up(self, what: str = "run", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        return subprocess.run(
            [self.folder / "deploy/setup.sh", what],
            env={
                **os.environ,
                "PYTHON": "",
                "WHEELHOUSE": "",
                "PATH": str(self.bin),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def refusal(self, what: str = "run", **environment: str) -> str:
        """The one line that it says when it cannot set up."""
        done = self.set_up(what, **environment)
        assert done.returncode != 0
        assert not (self.folder / ".venv").exists()
        (line,) = done.stderr.splitlines()
        return line


@pytest.fixture
def checkout(tmp_path: Path, repo: Path) -> Checkout:
    """A checkout to set up, with no Python on its PATH."""
    checkout = Checkout(tmp_path / "a checkout", repo / "deploy/setup.sh", repo / "constraints.txt")
    checkout.fake("uname", "echo x86_64")
    return checkout


def answering(facts: str, otherwise: str = "exit 1") -> str:
    """A Python that says what it is and does nothing else."""
    return f'case $2 in *calcsize*) echo "{facts}" ;; *) {otherwise} ;; esac'


def test_without_python(checkout: Checkout) -> None:
    assert "sudo apt install python3 python3-venv" in checkout.refusal()


def test_a_shim_that_does_not_run_is_no_python(checkout: Checkout) -> None:
    checkout.fake("python3.13", "echo 'not installed' >&2; exit 127")
    assert "Python is missing" in checkout.refusal()


@pytest.mark.parametrize("version", ["2.7", "3.9", "3.14"])
def test_python_that_does_not_fit(checkout: Checkout, version: str) -> None:
    checkout.fake("python3", answering(f"{version} 64", "exit 0"))
    line = checkout.refusal()
    assert f"Python {version} (python3) does not fit, 3.11 to 3.13 do" in line
    assert "PYTHON=" in line


def test_a_named_python_is_the_only_one_tried(checkout: Checkout) -> None:
    checkout.fake("python3", answering("3.12 64", "exit 0"))
    assert "PYTHON=elsewhere does not run" in checkout.refusal(PYTHON="elsewhere")


def test_without_the_venv_module(checkout: Checkout) -> None:
    checkout.fake("python3.11", answering("3.11 64"))
    checkout.fake("python3", answering("3.11 64"))
    assert "python3.11 lacks its venv module: sudo apt install python3-venv" in checkout.refusal()


@pytest.mark.parametrize("machine", ["armv6l", "armv7l", "armv8l"])
def test_on_32_bit_arm(checkout: Checkout, machine: str) -> None:
    checkout.fake("uname", f"echo {machine}")
    assert "32-bit Arm is not supported" in checkout.refusal()


def test_a_32_bit_system_on_a_64_bit_kernel(checkout: Checkout) -> None:
    """Raspberry Pi OS 32-bit boots a 64-bit kernel, so that `uname` alone does not tell."""
    checkout.fake("uname", "echo aarch64")
    checkout.fake("python3", answering("3.11 32", "exit 0"))
    assert "install a 64-bit system" in checkout.refusal()


def test_other_processors(checkout: Checkout) -> None:
    checkout.fake("uname", "echo riscv64")
    assert "this processor (riscv64) is not supported" in checkout.refusal()


def test_without_the_named_wheelhouse(checkout: Checkout) -> None:
    line = checkout.refusal(WHEELHOUSE="nowhere")
    assert "there is no folder WHEELHOUSE=nowhere: fill one by" in line


def test_a_wheelhouse_needs_a_name(checkout: Checkout) -> None:
    assert "make wheelhouse WHEELHOUSE=folder" in checkout.refusal("wheels")


def test_a_bundle_needs_a_name(checkout: Checkout) -> None:
    assert "make bundle BUNDLE=folder" in checkout.refusal("bundle")


def test_unknown_set(checkout: Checkout) -> None:
    assert "deploy/setup.sh run|test|check|wheels|bundle" in checkout.refusal("everything")


@pytest.fixture
def with_python(checkout: Checkout) -> Checkout:
    """A checkout to set up with the Python that runs this test."""
    (checkout.bin / "python3").symlink_to(Path(sys.executable).resolve())
    return checkout


@pytest.mark.slow
def test_with_half_an_environment_left_behind(with_python: Checkout) -> None:
    """A failed `python3 -m venv` leaves a folder without pip; it is replaced."""
    half = with_python.folder / ".venv"
    subprocess.run([with_python.bin / "python3", "-m", "venv", "--without-pip", half], check=True)
    done = with_python.set_up()
    assert done.returncode == 0, done.stderr
    assert (with_python.folder / ".venv/bin/edgeapp").exists()


@pytest.mark.slow
def test_without_a_package_index(with_python: Checkout) -> None:
    nothing_listens_there = "http://127.0.0.1:9/simple"
    line = with_python.refusal(
        PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL=nothing_listens_there, PIP_RETRIES="0"
    )
    assert "no package index can be reached" in line


@pytest.mark.slow
def test_with_an_empty_wheelhouse(with_python: Checkout, tmp_path: Path) -> None:
    line = with_python.refusal(WHEELHOUSE=str(tmp_path), PIP_CONFIG_FILE=os.devnull)
    assert f"WHEELHOUSE={tmp_path} lacks a package" in line


@pytest.mark.slow
def test_set_up_once_again_from_a_wheelhouse_and_after_a_move(
    with_python: Checkout, tmp_path: Path
) -> None:
    """The life of a checkout: set up, left alone, extended, moved, set up without network."""
    first = with_python.set_up()
    assert first.returncode == 0, first.stderr
    edgeapp = with_python.folder / ".venv/bin/edgeapp"
    assert subprocess.check_output([edgeapp], text=True) == "it runs\n"
    scripts = [path for path in edgeapp.parent.iterdir() if path.is_file()]
    assert not [path for path in scripts if b".venv.tmp" in path.read_bytes()]
    assert not (with_python.folder / ".venv.tmp").exists()

    again = with_python.set_up()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")

    assert "Installing" in with_python.set_up("test").stdout
    assert with_python.set_up("run").stdout == ""

    fetched = with_python.set_up("wheels", WHEELHOUSE=str(tmp_path / "wheels"))
    assert fetched.returncode == 0, fetched.stderr

    with_python.folder = with_python.folder.rename(tmp_path / "moved")
    offline = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "WHEELHOUSE": str(tmp_path / "wheels"),
    }
    moved = with_python.set_up("test", **offline)
    assert moved.returncode == 0, moved.stderr
    edgeapp = with_python.folder / ".venv/bin/edgeapp"
    assert subprocess.check_output([edgeapp], text=True) == "it runs\n"
