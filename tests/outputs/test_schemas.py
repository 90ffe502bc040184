"""The published JSON Schemas: current, met by real messages, and not met by others."""

import json
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from edgeapp.core.answers import Event, Labels, Mask, Pose
from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Message
from edgeapp.core.packet import Packet
from edgeapp.core.payload import Detections, Features, Score, Tracks
from edgeapp.outputs.bodies import BODIES
from edgeapp.outputs.console import line
from edgeapp.outputs.encoder import BodyEncoder
from edgeapp.uplink.notices import NOTICES
from edgeapp.uplink.outbox import Key
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer
from tests.contract import Contract, problems

Wrap = Callable[[Any], Packet[Any]]


TRACKS = Tracks(
    np.array([[0.1, 0.2, 0.3, 1.4]], np.float32),
    np.array([0.9], np.float32),
    np.array([0], np.int32),
    ("person",),
    ids=np.array([7], np.int64),
)
EVENT = Event(
    "update",
    "doorway-5f0c1a9e33d2",
    "zone",
    "person",
    6_000,
    0.91,
    (-0.1, 0.2, 0.3, 1.4),
    None,
    {"zone": "door", "dwell_s": 4.5, "known": True, "odd": float("nan")},
)


def seal(packet: Packet[Any], *, synced: bool = True) -> dict[str, Any]:
    clock = FakeClock(start_ns=1_000_000_000)
    wall = WallClock(clock, wall_ns=lambda: 1_800_000_000_000_000_000, synchronised=lambda: synced)
    sealer = Sealer("dev-1", 7, wall)
    body = BodyEncoder("porch", "people").encode(packet)
    message: dict[str, Any] = json.loads(
        sealer.seal(Message("a/b", body, packet.taken_ns), Key(7, 3))
    )
    return message


def test_the_published_schemas_are_current(repo: Path) -> None:
    """`.venv/bin/python docs/schemas/generate.py` makes them so."""
    folder = repo / "docs" / "schemas"
    texts: dict[str, str] = runpy.run_path(str(folder / "generate.py"))["texts"]()
    assert {path.name: path.read_text() for path in folder.glob("*.json")} == texts
    assert {f"{name}.json" for name in (*BODIES, *NOTICES)} == set(texts)


def test_no_schema_allows_additional_properties(repo: Path) -> None:
    def objects(node: Any) -> Any:
        if isinstance(node, dict):
            if node.get("type") == "object":
                yield node
            for child in node.values():
                yield from objects(child)

    for path in (repo / "docs" / "schemas").glob("*.json"):
        schema = json.loads(path.read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        found = list(objects(schema))
        assert schema["additionalProperties"] is False
        # Those inside are closed as well, or maps from names, whose values are of one type.
        allowed = [inner["additionalProperties"] for inner in found[1:]]
        assert all(one is False or isinstance(one, dict) for one in allowed)


def test_real_messages_are_valid(packet: Wrap, detections: Detections) -> None:
    features = Features(np.array([1.5, np.nan]), ("x.rms", "x.crest"), ("m/s²", "1"))
    values = (
        detections,
        detections.select(np.array([], np.int32)),
        Score(1.5, parts={"t2": 0.5}),
        Score(0.0, ready=False, progress=0.1),
        Score(float("nan")),
        features,
        TRACKS,
        Labels(np.array([0.2, 0.7, np.nan], np.float32), ("a", "b", "c")),
        Mask(np.array([[0, 1], [1, 1]], np.uint8), ("soil", "crop")),
        Pose(np.array([0.1, -0.2, 0.5]), np.zeros(3), "marker 7", 0.3),
        EVENT,
        replace(EVENT, box=None, score=None, facts={}, phase="end"),
    )
    for value in values:
        assert problems(seal(packet(value))) == []
        assert problems(seal(packet(value)._replace(trail=()))) == []
        assert problems(seal(packet(value), synced=False)) == []


MUTATIONS: tuple[tuple[str, Callable[[dict[str, Any]], object]], ...] = (
    ("an additional field", lambda m: m.update(extra=1)),
    ("no id", lambda m: m.pop("id")),
    ("boxes that are none", lambda m: m.update(boxes=None)),
    ("an id without a number", lambda m: m.update(id="dev-1/7")),
    ("an id with a wildcard", lambda m: m.update(id="dev+1/7/3")),
    ("a number as id", lambda m: m.update(id=3)),
    ("a local time", lambda m: m.update(time="2026-11-22T12:03:04.567+01:00")),
    ("a time without milliseconds", lambda m: m.update(time="2026-11-22T12:03:04Z")),
    ("an unknown clock", lambda m: m.update(clock="maybe")),
    ("a negative age", lambda m: m.update(age_ms=-1)),
    ("an age in words", lambda m: m.update(age_ms="5 ms")),
    ("no word about the age", lambda m: m.pop("age_ms")),
    ("no word about replay", lambda m: m.pop("replay")),
    ("replay in words", lambda m: m.update(replay="no")),
    ("a boot though the clock is right", lambda m: m.update(boot="5bf31e06")),
    ("an uptime though the clock is right", lambda m: m.update(up_ms=5.0)),
    ("no boot though the clock is wrong", lambda m: m.update(clock="unsynced", up_ms=5.0)),
    ("no uptime though the clock is wrong", lambda m: m.update(clock="unsynced", boot="5bf3")),
    ("an uptime below zero", lambda m: m.update(clock="unsynced", boot="5bf3", up_ms=-1)),
    ("a boot with a slash", lambda m: m.update(clock="unsynced", boot="a/b", up_ms=1)),
    ("a boot that is null", lambda m: m.update(clock="unsynced", boot=None, up_ms=1)),
    ("an empty pipeline", lambda m: m.update(pipeline="")),
    ("no stage", lambda m: m.pop("stage")),
    ("a broken seq", lambda m: m.update(seq=1.5)),
    ("a negative loss", lambda m: m.update(lost=-1)),
    ("no word about the model", lambda m: m.pop("model")),
    ("a rung in words", lambda m: m.update(rung="best")),
    ("a box outside of the picture", lambda m: m["boxes"][0].__setitem__(0, 1.2)),
    ("a box of three numbers", lambda m: m["boxes"][0].pop()),
    ("a box of five numbers", lambda m: m["boxes"][0].append(0.1)),
    ("a box with a null", lambda m: m["boxes"][0].__setitem__(2, None)),
    ("a score above one", lambda m: m["scores"].__setitem__(0, 1.01)),
    ("a label that is none", lambda m: m["labels"].__setitem__(0, 1)),
    ("a negative count", lambda m: m.update(count=-1)),
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[name for name, _ in MUTATIONS])
def test_a_mutated_message_is_rejected(
    packet: Wrap,
    detections: Detections,
    mutation: tuple[str, Callable[[dict[str, Any]], object]],
) -> None:
    message = seal(packet(detections))
    mutation[1](message)
    assert problems(message) != []
    watcher = Contract()
    watcher.payload(json.dumps(message), topic="a/b")
    assert len(watcher.wrong()) == 1


EVENT_MUTATIONS: tuple[tuple[str, Callable[[dict[str, Any]], object]], ...] = (
    ("an unknown phase", lambda m: m.update(phase="over")),
    ("no event", lambda m: m.pop("event")),
    ("an empty kind", lambda m: m.update(kind="")),
    ("a negative duration", lambda m: m.update(duration_s=-0.1)),
    ("a box outside of the picture", lambda m: m["box"].__setitem__(0, -0.1)),
    ("a fact that is a list", lambda m: m["facts"].update(zone=["door"])),
    ("a score in words", lambda m: m.update(score="high")),
    ("another payload's field", lambda m: m.update(count=1)),
)


@pytest.mark.parametrize("mutation", EVENT_MUTATIONS, ids=[name for name, _ in EVENT_MUTATIONS])
def test_a_mutated_event_is_rejected(
    packet: Wrap,
    mutation: tuple[str, Callable[[dict[str, Any]], object]],
) -> None:
    message = seal(packet(EVENT))
    mutation[1](message)
    assert problems(message) != []


def test_an_event_says_how_long_it_has_lasted_and_where_it_is(packet: Wrap) -> None:
    message = seal(packet(replace(EVENT, began_ns=0))._replace(t_ns=4_667_400_000))

    assert message["duration_s"] == 4.667
    assert message["box"] == [0.0, 0.2, 0.3, 0.8]
    assert message["facts"] == {"zone": "door", "dwell_s": 4.5, "known": True, "odd": None}


def test_every_message_can_be_told_on_one_line(packet: Wrap) -> None:
    """The console knows every schema there is."""
    values = (
        TRACKS,
        Labels(np.array([0.2, 0.7], np.float32), ("a", "b")),
        Mask(np.array([[0, 1], [1, 1]], np.uint8), ("soil", "crop")),
        Pose(np.array([0.1, -0.2, 0.5]), np.zeros(3), "marker 7", 0.3),
        EVENT,
    )
    said = [line(seal(packet(value))) for value in values]
    for text, expected in zip(
        said,
        (
            "person 7 at 0.10,0.20",
            "b 0.70, a 0.20",
            "soil 25.0%, crop 75.0%",
            "marker 7 at 100.0, -200.0, 500.0 mm",
            "zone person: update (zone door, dwell_s 4.5, known True, odd not a number)",
        ),
        strict=True,
    ):
        assert expected in text
