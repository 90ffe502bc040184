"""A stop while files are still read and checked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
LIMIT_S = 60

PLUGIN = """\
import os, signal
from pydantic import field_validator
from edgeapp.api import Context, Emit, Field, Options, Score, source

class O(Options):
    "One that asks for a stop while it is checked."
    x: int = Field(1, description="Any number.")

    @field_validator("x")
    @classmethod
    def _stop(cls, x):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1_000_000):
            pass
        return x

@source("stops")
class Stops:
    "Never runs."
    def __init__(self, options: O, context: Context) -> None: ...
    def run(self, emit: Emit[Score]) -> None:
        raise AssertionError

"""


def test_a_stop_within_a_validator_is_no_mistake_in_the_file(tmp_path: Path) -> None:
    """An exception there is turned into a complaint, and exit code 78 would keep a service down."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "stops.py").write_text(PLUGIN)
    (tmp_path / "device.yaml").write_text(f"plugins: {tmp_path}/plugins\n")
    (tmp_path / "a.yaml").write_text("name: a\nstages: {s: {source: stops, x: 2}}\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgeapp", "run", str(tmp_path / "a.yaml")),
            *("--device", str(tmp_path / "device.yaml")),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
        env=dict(os.environ),
    )
    assert (done.returncode, done.stderr) == (0, "")
