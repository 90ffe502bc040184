"""What watches over the messages of all tests sees what is wrong, and lets right ones pass."""

import json
from typing import Any

import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Message
from edgeapp.uplink.outbox import Key
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer
from tests.contract import SUITE, Contract, watched

PIPELINE = b'{"schema":"edgeapp/pipeline/1","pipeline":"p","state":"running","why":""}'


def seal(body: bytes, *, topic: str = "p/s", binary: bool = False, retain: bool = False) -> bytes:
    wall = WallClock(FakeClock(), boot="test", wall_ns=lambda: 0, synchronised=lambda: False)
    message = Message(topic, body, 0, binary=binary, retain=retain)
    return Sealer("dev", 1, wall).seal(message, Key(1, 2))


def test_whatever_is_sealed_is_looked_at() -> None:
    contract = Contract()
    with watched(contract):
        seal(PIPELINE, topic="p/state", retain=True)
        seal(b"\xff\xd8", binary=True)
    assert (contract.checked, contract.wrong()) == (1, [])


@pytest.mark.parametrize(
    "body",
    [
        PIPELINE.replace(b"running", b"walking"),
        PIPELINE.replace(b'"why":""', b'"why":"","who":""'),
        PIPELINE.replace(b"edgeapp/pipeline/1", b"edgeapp/pipeline/2"),
        b'{"door":"open"}',
        b'{"n":1,"m":2}',
        b'{"n":NaN}',
    ],
)
def test_what_is_not_in_the_contract_is_named_with_its_topic(body: bytes) -> None:
    """Once: what was told is not told again."""
    contract = Contract()
    with watched(contract):
        seal(body)
    SUITE.wrong()  # it watches, too
    [wrong] = contract.wrong()
    assert wrong.startswith("p/s: ")
    assert contract.wrong() == []


@pytest.mark.parametrize(
    ("topic", "retain", "wrong"),
    [("p/state", True, 0), ("p/state", False, 1), ("p/s/state", True, 1), ("state", True, 1)],
)
def test_a_notice_has_its_topic_and_is_retained_or_not(
    topic: str, *, retain: bool, wrong: int
) -> None:
    """As docs/asyncapi.yaml says."""
    contract = Contract()
    with watched(contract):
        seal(PIPELINE, topic=topic, retain=retain)
    SUITE.wrong()
    assert len(contract.wrong()) == wrong


def test_the_suite_is_being_watched() -> None:
    before = SUITE.checked
    seal(b'{"door":"open"}')
    assert SUITE.checked == before + 1
    assert len(SUITE.wrong()) == 1


@pytest.mark.parametrize(
    ("topic", "payload", "wrong"),
    [
        ("edgeapp/dev/status", "online", 0),
        ("edgeapp/dev/status", "", 0),
        ("edgeapp/dev/status", "well", 1),
        ("edgeapp/dev/p/set", "ON", 0),
        ("edgeapp/dev/p/s/snapshot", "\ufffd", 0),
        ("edgeapp/dev/p/s", "\ufffd\ufffd\ufffd\ufffd\x00\x10JFIF", 0),
        ("edgeapp/dev/p/s", "\ufffd", 1),
        ("edgeapp/dev/p/state", "", 0),
        ("edgeapp/dev/p/state", "running", 1),
        ("edgeapp/dev/p/state", "[]", 1),
        ("homeassistant/status", "online", 0),
    ],
)
def test_what_comes_from_other_processes_is_looked_at_by_its_topic(
    topic: str, payload: str, wrong: int
) -> None:
    contract = Contract()
    contract.arrival(topic, payload)
    assert len(contract.wrong()) == wrong


def test_only_what_tests_declare_may_lack_a_schema() -> None:
    """And even that has the whole envelope."""
    good: dict[str, Any] = json.loads(seal(b'{"n":1}'))
    for gone in ("id", "time", "clock", "age_ms", "replay"):
        contract = Contract()
        contract.payload(json.dumps({k: v for k, v in good.items() if k != gone}), topic="a")
        assert len(contract.wrong()) == 1
