"""Packets to encode, and the surroundings of an output."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.core.context import Context
from edgeapp.core.packet import Hop, Packet
from edgeapp.core.payload import Detections


class SilentLog:
    def bind(self, **_facts: object) -> "SilentLog":
        return self

    def debug(self, event: str, **facts: object) -> None: ...
    def info(self, event: str, **facts: object) -> None: ...
    def warning(self, event: str, **facts: object) -> None: ...
    def error(self, event: str, **facts: object) -> None: ...


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(
        "porch",
        "people",
        SilentLog(),
        FakeClock(),
        random.Random(1),
        tmp_path / "state",
        threading.Event(),
    )


@pytest.fixture
def detections() -> Detections:
    """A person, and a dog that the picture's edge cuts off."""
    return Detections(
        np.array([[0.31, 0.22, 0.51, 0.82], [-0.2, 0.5, 0.25, 1.5]], np.float32),
        np.array([0.87, 0.5], np.float32),
        np.array([0, 1], np.int32),
        ("person", "dog"),
    )


@pytest.fixture
def packet() -> Callable[[Any], Packet[Any]]:
    """Puts a value into a packet that one model answered."""

    def wrap(value: Any) -> Packet[Any]:
        hop = Hop("detect", "detector", "yolox_nano", 0)
        return Packet(value, "camera", 1, 42, 0, 7_000, 9_000, 0, 3, (hop,))

    return wrap
