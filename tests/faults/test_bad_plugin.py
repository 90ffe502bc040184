"""Drop-in plugins that misbehave: their fault is named, bounded, and nobody else's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeapp.service.logs import REPEATS
from tests.faults.trial import Trial, attempt, counts, refused

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

Unharmed = Callable[..., None]
BLOCKS = 20
PIPELINE = """
name: other
stages:
  bearing: {source: bearing, rate_hz: 8000, duration_s: 1, speed: fast}
  bad: {transform: bad}
  features: {transform: features}
  found: {output: jsonl, file: found.jsonl}
"""
FAULTS = 6
"""Five are allowed in a minute; the sixth takes the pipeline down."""


def plugin(folder: Path, process: str, *, before: str = "") -> None:
    """A drop-in transform of signals whose `process` has this body."""
    (folder / "plugins").mkdir()
    body = "\n".join(f"        {line}" for line in process.splitlines())
    (folder / "plugins" / "bad.py").write_text(
        f"""import sys, time
import numpy as np
from edgeapp.api import *
{before}
@transform("bad")
class Bad:
    def __init__(self, options: Options, context: Context) -> None:
        self.context = context

    def process(self, packet: Packet[Signal]) -> list[Signal] | Signal | None:
{body}
"""
    )


def test_raising_on_every_third_packet(tmp_path: Path, unharmed: Unharmed) -> None:
    """The third raises each time until the budget is spent: then the pipeline comes down."""
    plugin(
        tmp_path, "if packet.seq % 3 == 2: raise ZeroDivisionError('third')\nreturn packet.value"
    )
    trial = attempt(tmp_path, PIPELINE, until=lambda log: "pipeline failed" in log)
    unharmed(trial, tracebacks=FAULTS)
    bad = trial.stage("other", "bad")
    assert bad["faults"] == FAULTS
    assert bad["done"] == 2 * FAULTS
    assert all("ZeroDivisionError: third" in text for text in trial.exceptions)
    assert trial.code == 1
    assert (
        "stage 'bad' keeps raising: ZeroDivisionError('third')" in trial.pipelines["other"]["why"]
    )


def test_raising_on_three_packets(tmp_path: Path, unharmed: Unharmed) -> None:
    """Within the budget: those are counted, the rest is answered."""
    plugin(tmp_path, "if packet.seq in (2, 5, 9): raise KeyError('x')\nreturn packet.value")
    trial = attempt(tmp_path, PIPELINE)
    unharmed(trial, tracebacks=3)
    assert trial.code == 0
    assert trial.stage("other", "bad")["dropped"] == {"fault": 3}
    assert trial.stage("other", "found")["done"] == BLOCKS - 3


WRONG = {
    "a numpy array": ("return packet.value.samples", "gave a ndarray, which is no payload"),
    "a number": ("return 4", "gave a int, which is no payload"),
    "a text": ("return 'signal'", "gave a str, which is no payload"),
    "a list of arrays": ("return [packet.value.samples]", "gave a ndarray, which is no payload"),
    "an array at a time": (
        "return At(packet.value.samples, 0, 0)",
        "gave a ndarray, which is no payload",
    ),
    "no end": (
        "def more():\n    while True: yield packet.value\nreturn more()",
        "gave more than 100,000 results",
    ),
    "Stopping": ("raise Stopping", "Stopping"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "SystemExit": ("sys.exit(0)", "SystemExit"),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
    "MemoryError": ("raise MemoryError('all')", "MemoryError"),
    "RecursionError": ("return self.process(packet)", "RecursionError"),
}


@pytest.mark.parametrize("what", WRONG)
def test_giving_or_raising_what_it_must_not(tmp_path: Path, unharmed: Unharmed, what: str) -> None:
    """The fault is that of the stage that did it, and its packet is counted."""
    body, said = WRONG[what]
    first = "\n".join(f"    {line}" for line in body.splitlines())
    plugin(tmp_path, f"if packet.seq == 3:\n{first}\nreturn packet.value")
    trial = attempt(tmp_path, PIPELINE)
    unharmed(trial, tracebacks=1)
    assert said in trial.exceptions[0]
    assert trial.stage("other", "bad")["dropped"] == {"fault": 1}
    assert trial.stage("other", "found")["done"] == BLOCKS - 1
    assert trial.code == 0


def test_printing_megabytes(tmp_path: Path, unharmed: Unharmed) -> None:
    """What a plugin prints goes past the log, and holds nothing up."""
    plugin(tmp_path, "print('x' * 200_000, file=sys.stderr)\nreturn packet.value")
    trial = attempt(tmp_path, PIPELINE)
    unharmed(trial)
    assert trial.code == 0
    assert trial.stage("other", "found")["done"] == BLOCKS


def test_never_coming_back(tmp_path: Path, alone: Trial) -> None:
    """The stage that hangs is named and left behind; the others end as they should."""
    hangs = "self.context.log.info('hangs')\ntime.sleep(3600)\nreturn packet.value"
    plugin(tmp_path, hangs)
    trial = attempt(tmp_path, PIPELINE, until=lambda log: '"hangs"' in log)
    assert trial.code == 1
    assert trial.told("stuck threads are left behind", '"bad"')
    assert "edgeapp: left behind, stuck: other/bad" in trial.said
    assert trial.answers == alone.answers
    assert counts(trial) == counts(alone)


@pytest.mark.parametrize("t_ns", ["-10**12", "100 - n", "-n * 10**9"])
def test_a_source_whose_time_goes_back(tmp_path: Path, unharmed: Unharmed, t_ns: str) -> None:
    """Stream time never goes back, whatever a source says."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "bad.py").write_text(
        f"""import numpy as np
from edgeapp.api import *
@source("bad", live=False)
class Bad:
    def __init__(self, options: Options, context: Context) -> None: ...
    def run(self, emit: Emit[Score]) -> None:
        for n in range(50):
            emit(Score(float(n)), t_ns={t_ns})
"""
    )
    text = "name: other\nstages: {bad: {source: bad}, found: {output: jsonl, file: found.jsonl}}"
    trial = attempt(tmp_path, text)
    unharmed(trial)
    assert trial.stage("other", "found")["done"] == 50
    assert trial.code == 0


def test_a_source_that_emits_what_it_must_not(tmp_path: Path, unharmed: Unharmed) -> None:
    """The source's own fault, up to the budget."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "bad.py").write_text(
        """import numpy as np
from edgeapp.api import *
@source("bad", live=False)
class Bad:
    def __init__(self, options: Options, context: Context) -> None: ...
    def run(self, emit: Emit[Score]) -> None:
        emit(np.zeros(3))
"""
    )
    text = "name: other\nstages: {bad: {source: bad}, found: {output: jsonl, file: found.jsonl}}"
    trial = attempt(tmp_path, text, until=lambda log: "pipeline failed" in log)
    unharmed(trial, tracebacks=REPEATS)  # the same words each time: the log leaves the rest out
    assert trial.stage("other", "bad")["faults"] == FAULTS
    assert all("emit() was given a ndarray" in text for text in trial.exceptions)
    assert trial.code == 1


@pytest.mark.parametrize(
    ("at_import", "said"),
    [
        ("1 / 0", "bad.py:4: ZeroDivisionError: division by zero"),
        ("sys.exit(0)", "bad.py:4: SystemExit: 0"),
        ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
        ("def (:", "bad.py:4"),
        ("\0", "bad.py"),
    ],
)
def test_failing_to_import(tmp_path: Path, at_import: str, said: str) -> None:
    """Nothing starts; file, line and reason are said."""
    plugin(tmp_path, "return packet.value", before=at_import)
    assert said in refused(tmp_path, PIPELINE)
