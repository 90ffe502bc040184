import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.actions.log import LogAction, LogOptions
from edgeapp.core.answers import Event
from edgeapp.core.clock import FakeClock
from edgeapp.core.context import Context
from edgeapp.core.packet import Hop, Packet
from edgeapp.core.payload import Detections, Features, Image, Score, Signal


class Events:
    """Keeps what was logged as information."""

    def __init__(self) -> None:
        self.found: list[tuple[str, dict[str, object]]] = []

    def bind(self, **_facts: object) -> "Events":
        return self

    def info(self, event: str, **facts: object) -> None:
        self.found.append((event, facts))

    debug = warning = error = info


NOTHING = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32)


@pytest.mark.parametrize(
    ("value", "facts"),
    [
        (
            Detections(
                np.array([[0.1, 0.1, 0.2, 0.2]], np.float32),
                np.array([0.75], np.float32),
                np.array([1], np.int32),
                ("dog", "person"),
            ),
            {"count": 1, "best": "person", "score": 0.75},
        ),
        (Detections(*NOTHING, ("person",)), {"count": 0}),
        (Score(1.5), {"score": 1.5}),
        (Score(0.0, ready=False, progress=0.37), {"learning": 0.37}),
        (Features(np.array([1.5]), ("x.rms",), ("m/s²",)), {"x.rms": 1.5}),
        (
            Signal(np.zeros((1, 8), np.float32), 100.0, ("x",), ("g",)),
            {"samples": 8, "channels": ["x"]},
        ),
        (Image(np.zeros((4, 6), np.uint8)), {"width": 6, "height": 4}),
        (
            Event("new", "health-1", "alarm", "pump", 0, facts={"zone": "C"}),
            {"phase": "new", "event_id": "health-1", "kind": "alarm", "label": "pump", "zone": "C"},
        ),
    ],
)
def test_each_result_is_one_event_with_its_key_facts(value: Any, facts: dict[str, Any]) -> None:
    log = Events()
    context = Context(
        "porch", "note", log, FakeClock(), random.Random(1), Path("state"), threading.Event()
    )
    LogAction(LogOptions(), context).act(Packet(value, "camera", 0, 5, 0, 0, 0, 0, 0, ()))
    assert log.found == [("result", {"origin": "camera", "seq": 5, **facts})]


def test_the_variant_and_what_was_lost_are_facts_too() -> None:
    log = Events()
    context = Context(
        "porch", "note", log, FakeClock(), random.Random(1), Path("state"), threading.Event()
    )
    hop = Hop("detect", "detector", "nano", 1)
    LogAction(LogOptions(), context).act(Packet(Score(1.0), "camera", 0, 5, 0, 0, 0, 0, 2, (hop,)))
    ((_event, facts),) = log.found
    assert (facts["variant"], facts["lost"]) == ("nano", 2)
