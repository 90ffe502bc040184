"""Whatever stands in a trace: it is read, or its mistakes are said."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.simulation.checked import TraceError
from edgeapp.simulation.trace import Trace, read_trace, write_trace
from tests.simulation.traces import PLANT, RECORDING

SEEDS = (json.dumps(PLANT), json.dumps(RECORDING))
ODD_WORDS = [
    "",
    "t",
    "die",
    "own_cpu",
    "freeze",
    "eio",
    "class/x/temp",
    "../x",
    "\0",
    "\ud800",
    "é",
]
WORDS = st.sampled_from(ODD_WORDS)
ODD: list[Any] = [
    *ODD_WORDS,
    *(None, True, False, 0, 1, -1, 0.5, 1e308, -1e308, 10**30, float("nan"), float("inf")),
    *([], {}, [[]], [0], [[0, 1]], {"t": 1}, [None], [True]),
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=True)
    | WORDS
    | st.sampled_from([0, 1, -1, 0.5, 1e308])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)
)


def spots(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a document, with each of its keys or places."""
    found = []
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        found.append((value, key))
        found += spots(value[key])
    return found


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A right trace with a few things changed, taken away, doubled or moved."""
    document = json.loads(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        places = spots(document)
        if not places:
            break
        where, key = places[draw(st.integers(0, len(places) - 1))]
        change = draw(st.sampled_from(["value", "value", "remove", "double", "move", "key"]))
        if change == "value":
            where[key] = draw(VALUES)
        elif change == "remove":
            del where[key]
        elif change == "double" and isinstance(where, list):
            where.insert(key, where[key])
        elif change == "move":
            other, there = places[draw(st.integers(0, len(places) - 1))]
            where[key] = json.loads(json.dumps(other[there]))
        elif change == "key" and isinstance(where, dict):
            where[draw(WORDS)] = where[key]
    return json.dumps(document)


def changed(rng: random.Random) -> str:
    """As of `documents`."""
    document = json.loads(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 4)):
        places = spots(document)
        where, key = rng.choice(places) if places else ([0], 0)
        other, there = rng.choice(places) if places else ([0], 0)
        change = rng.choice(["value", "value", "remove", "double", "move", "key"])
        if change == "remove":
            del where[key]
        elif change == "double" and isinstance(where, list):
            where.insert(key, where[key])
        elif change == "move":
            where[key] = json.loads(json.dumps(other[there]))
        elif change == "key" and isinstance(where, dict):
            where[rng.choice(ODD_WORDS)] = where[key]
        else:
            where[key] = rng.choice(ODD)
    return json.dumps(document)


def survives(file: Path, text: bytes) -> None:
    """It is read, and then what is written of it is read as the same; or its mistakes are said."""
    file.write_bytes(text)
    try:
        trace = read_trace(file)
    except TraceError as error:
        problems = error.problems
    else:
        again = file.with_name("again.json")
        write_trace(again, trace)
        assert_same(read_trace(again), trace)
        return
    assert problems
    assert all(line.startswith(f"{file}: ") and line.isprintable() for line in problems)
    assert len(problems) <= 51


def assert_same(one: Trace, other: Trace) -> None:
    assert one == other
    assert one.closed == (one.samples is None)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "trace.json"


@settings(max_examples=100, deadline=None)
@given(text=documents())
def test_a_changed_trace_is_read_or_complained_about(text: str, file: Path) -> None:
    survives(file, text.encode("utf-8", "surrogatepass"))


@pytest.mark.slow
def test_thousands_of_changed_traces(file: Path) -> None:
    """Made by a seeded generator: ten times as fast as drawing each choice."""
    for number in range(3000):
        survives(file, changed(random.Random(number)).encode("utf-8", "surrogatepass"))


@settings(max_examples=100, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    cuts=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=4)), min_size=1, max_size=3),
)
def test_damaged_bytes_are_read_or_complained_about(
    seed: str, cuts: list[tuple[int, bytes]], file: Path
) -> None:
    text = seed.encode()
    for position, put in cuts:
        text = text[:position] + put + text[position + 1 :]
    survives(file, text)
