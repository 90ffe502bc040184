"""What docs/watchdog.md shows of traces is so."""

import dataclasses
import re
from pathlib import Path

import pytest

from edgeapp.simulation.spec import Expect, Inputs, PlantSpec
from edgeapp.simulation.trace import read_trace
from edgeapp.simulation.trace_samples import MEASURES


@pytest.fixture(scope="module")
def page(repo: Path) -> str:
    text = (repo / "docs" / "watchdog.md").read_text(encoding="utf-8")
    return text.partition("\n## Trace format\n")[2].partition("\n## ")[0]


def test_its_traces_can_be_read(page: str, tmp_path: Path) -> None:
    closed = []
    for number, example in enumerate(re.findall(r"```json\n(.*?)```", page, re.DOTALL)):
        file = tmp_path / f"{number}.json"
        file.write_text(example, encoding="utf-8")
        closed.append(read_trace(file).closed)
    assert closed == [True, False]


def test_every_key_is_told(page: str) -> None:
    keys = {
        field.name for kind in (Expect, Inputs, PlantSpec) for field in dataclasses.fields(kind)
    }
    told = set(re.findall(r"\w+", page))
    assert keys | set(MEASURES) <= told
