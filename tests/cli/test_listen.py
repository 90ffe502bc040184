import json
from typing import Any

import pytest

from edgeapp.cli.listen import short_line
from edgeapp.uplink.connection import Received

SCORE: dict[str, Any] = {
    "schema": "edgeapp/score/1",
    "time": "2026-01-02T03:04:05.678Z",
    "pipeline": "pump-7",
    "stage": "trend",
    "variant": None,
    "lost": 0,
    "value": 0.392,
    "ready": True,
    "progress": 1.0,
}


def shown(payload: bytes, topic: str = "edgeapp/bench-1/pump-7/trend") -> str:
    return short_line(Received(topic, payload, retain=False))


def test_a_result_is_said_in_a_few_words() -> None:
    line = shown(json.dumps(SCORE).encode())
    assert line.startswith("bench-1  pump-7.trend")
    assert line.endswith("score 0.392")
    assert len(line) < 80


@pytest.mark.parametrize(
    "payload",
    [b"online", b"\xff\xd8" * 5_000, b"[]", b"3", b"{}", b'{"schema": []}', b"[" * 100_000, b""],
)
def test_anything_else_is_shown_with_its_topic_and_kept_short(payload: bytes) -> None:
    line = shown(payload)
    assert line.startswith("edgeapp/bench-1/pump-7/trend")
    assert len(line) < 120
    assert line.isprintable()


def test_a_result_on_a_topic_that_is_not_ours_keeps_its_topic() -> None:
    assert shown(json.dumps(SCORE).encode(), "elsewhere").startswith("elsewhere  ")


def test_nothing_in_a_message_steers_the_terminal() -> None:
    said = {**SCORE, "pipeline": "\x1b[2J", "stage": "\x07"}
    assert shown(json.dumps(said).encode(), "edgeapp/\x1b[2J/x").isprintable()
