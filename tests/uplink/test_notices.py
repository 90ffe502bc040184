"""What the device itself says is in the contract, as results are."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Message
from edgeapp.uplink.notices import (
    NOTICES,
    GapNotice,
    Notice,
    OutboxNotice,
    PipelineNotice,
    ReplyNotice,
    SettingsNotice,
    VariantNotice,
)
from edgeapp.uplink.outbox import Key
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer
from tests.contract import Contract, problems

NOTICED: dict[str, Notice] = {
    "gap": GapNotice(
        schema="edgeapp/gap/1",
        reason="full",
        priority="bulk",
        count=71,
        first="dev-1/6/120",
        last="dev-1/6/240",
    ),
    "outbox": OutboxNotice(schema="edgeapp/outbox/1", store="memory", problem="disk full", dead=2),
    "pipeline": PipelineNotice(
        schema="edgeapp/pipeline/1", pipeline="porch", state="waiting", why="camera: unplugged"
    ),
    "variant": VariantNotice(
        schema="edgeapp/variant/1",
        pipeline="porch",
        stage="detector",
        variant="yolox_nano",
        rung=1,
        divisor=2,
        pinned=False,
    ),
    "settings": SettingsNotice(
        schema="edgeapp/settings/1",
        pipeline="porch",
        stage="detector",
        values={"min_score": 0.5, "most": 20, "quick": True, "label": "person", "top": None},
    ),
    "reply": ReplyNotice(
        schema="edgeapp/reply/1", command="porch/set", ok=False, said="there is no 'porch'"
    ),
}

TOPICS = {
    "gap": "gap",
    "outbox": "outbox",
    "pipeline": "porch/state",
    "variant": "porch/detector/variant",
    "settings": "porch/detector/settings",
    "reply": "reply",
}

Mutation = tuple[str, str, Callable[[dict[str, Any]], object]]

MUTATIONS: tuple[Mutation, ...] = (
    ("gap", "an additional field", lambda m: m.update(extra=1)),
    ("gap", "no id", lambda m: m.pop("id")),
    ("gap", "no word about replay", lambda m: m.pop("replay")),
    ("gap", "an unknown reason", lambda m: m.update(reason="lazy")),
    ("gap", "an unknown class", lambda m: m.update(priority="urgent")),
    ("gap", "a gap of nothing", lambda m: m.update(count=0)),
    ("gap", "a count in words", lambda m: m.update(count="71")),
    ("gap", "a first that is no id", lambda m: m.update(first="120")),
    ("gap", "no last", lambda m: m.pop("last")),
    ("outbox", "an unknown store", lambda m: m.update(store="cloud")),
    ("outbox", "no problem", lambda m: m.pop("problem")),
    ("outbox", "a problem that is null", lambda m: m.update(problem=None)),
    ("outbox", "a negative count", lambda m: m.update(dead=-1)),
    ("pipeline", "an unknown state", lambda m: m.update(state="asleep")),
    ("pipeline", "no name", lambda m: m.update(pipeline="")),
    ("pipeline", "why is a list", lambda m: m.update(why=["unplugged"])),
    ("variant", "a negative rung", lambda m: m.update(rung=-1)),
    ("variant", "a divisor below zero", lambda m: m.update(divisor=-1)),
    ("variant", "no variant", lambda m: m.update(variant=None)),
    ("variant", "pinned until", lambda m: m.update(pinned=12.5)),
    ("settings", "a value that is a list", lambda m: m["values"].update(zone=[1])),
    ("settings", "values that are a list", lambda m: m.update(values=[])),
    ("reply", "no command", lambda m: m.pop("command")),
    ("reply", "ok in words", lambda m: m.update(ok="yes")),
    ("reply", "another schema's field", lambda m: m.update(pipeline="porch")),
)


def sealed(name: str) -> dict[str, Any]:
    wall = WallClock(FakeClock(), boot="test", wall_ns=lambda: 0, synchronised=lambda: True)
    body = msgspec.json.encode(NOTICED[name])
    message = Message(TOPICS[name], body, 0, retain=name not in {"gap", "reply"})
    found: dict[str, Any] = json.loads(Sealer("dev-1", 7, wall).seal(message, Key(7, 3)))
    return found


def test_each_kind_of_notice_is_valid() -> None:
    assert set(NOTICED) == set(NOTICES)
    for name in NOTICES:
        assert sealed(name)["schema"] == f"edgeapp/{name}/1"
        assert problems(sealed(name)) == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[f"{m[0]}: {m[1]}" for m in MUTATIONS])
def test_a_mutated_notice_is_rejected(mutation: Mutation) -> None:
    """By the published schema, and by what watches over all tests."""
    name, _, mutate = mutation
    message = sealed(name)
    watcher = Contract()
    watcher.payload(json.dumps(message), topic=TOPICS[name])
    assert watcher.wrong() == []
    mutate(message)
    assert problems(message) != []
    watcher.payload(json.dumps(message), topic=TOPICS[name])
    assert len(watcher.wrong()) == 1
