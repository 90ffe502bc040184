"""What the runtime costs a packet, in instructions: repeatable where seconds are not.

Callgrind counts the instructions of N and of 2N packets through a source, two transforms and an
output; the difference, over N, is the cost of one. The hand-written loop makes the same calls.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.compare import REPO, Row

FEW, MANY = 200, 600
BOUND = 25_000
"""Instructions for each packet over the loop's."""

PIPELINE = """
name: gate
stages:
  source: {{source: gate_numbers, count: {count}}}
  first: {{transform: gate_double}}
  second: {{transform: gate_double}}
  out: {{output: gate_null}}
"""


def ours(count: int) -> None:
    """Through the runtime."""
    from benchmarks.apps import Device

    with tempfile.TemporaryDirectory() as folder:
        [status] = Device(Path(folder)).run([PIPELINE.format(count=count)])
    assert status.stages[-1].done == count


def bare(count: int) -> None:
    """By calls in a loop. What stands around it is the same as above, and cancels out."""
    from benchmarks.parts.gate_parts import Double, NoOptions, Null, Numbers, NumbersOptions
    from edgeapp.core.packet import Packet
    from edgeapp.core.payload import Score
    from edgeapp.testing import context

    surroundings = context("out")
    first, second = Double(NoOptions(), surroundings), Double(NoOptions(), surroundings)
    null = Null(NoOptions(), surroundings)
    done = 0

    def emit(value: Score, **_: object) -> None:
        nonlocal done
        packet = Packet(value, "source", 0, done, 0, 0, 0, 0, 0, ())
        packet = packet._replace(value=first.process(packet))
        packet = packet._replace(value=second.process(packet))
        null.deliver(null.encode(packet).body)
        done += 1

    Numbers(NumbersOptions(count=count), surroundings).run(emit)
    assert done == count


def instructions(mode: str, count: int) -> int:
    """Instructions of a whole worker."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={folder}/out",
                sys.executable,
                "-m",
                "benchmarks.instructions",
                mode,
                str(count),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=REPO,
            env={**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"},
        )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise RuntimeError(done.stderr[-2000:])
    return int(found[1])


def per_packet(mode: str) -> float:
    """Instructions for one more packet."""
    return (instructions(mode, MANY) - instructions(mode, FEW)) / (MANY - FEW)


def rows() -> list[Row]:
    """Measure."""
    with_runtime, by_hand = per_packet("--ours"), per_packet("--bare")
    over = with_runtime - by_hand
    return [
        Row(
            "runtime, instructions a packet over a loop (4 stages)",
            f"<= {BOUND}",
            f"{over:.0f}",
            over <= BOUND,
            f"{with_runtime:.0f} vs {by_hand:.0f}",
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", type=int)
    parser.add_argument("--bare", type=int)
    given = parser.parse_args()
    if given.ours:
        ours(given.ours)
    elif given.bare:
        bare(given.bare)
    else:
        for row in rows():
            sys.stdout.write(f"{row}\n")
