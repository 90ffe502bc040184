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
    ConfigNotice,
    CostsOf,
    FaultHealth,
    GapNotice,
    GovernedStage,
    GovernorNotice,
    HealthNotice,
    Loss,
    ModelHealth,
    Notice,
    OnLastGood,
    OutboxNotice,
    PipelineHealth,
    PipelineNotice,
    ReplyNotice,
    SettingsNotice,
    Signal,
    SignalsNotice,
    SilenceNotice,
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
    "governor": GovernorNotice(
        schema="edgeapp/governor/1",
        level="fair",
        reason="in 300 s the die would be too hot",
        binding="heat_300s",
        infeasible=False,
        detectors=("throttling",),
        die_c=74.1,
        headroom=0.86,
        trip_in_s=None,
        forecast_30s_c=75.8,
        forecast_300s_c=77.9,
        cores_allowed=1.42,
        cores_chosen=1.21,
        utility=0.931,
        stages=(
            GovernedStage(
                pipeline="porch", stage="detector", variant="yolox_nano", rung=1, divisor=0
            ),
        ),
        paused=("hall",),
        next_best="",
        swap_price=0.002,
        swaps_last_h=3,
        trust={"cpu-thermal": 1.0},
    ),
    "signals": SignalsNotice(
        schema="edgeapp/signals/1",
        board="raspberry-pi-4",
        calibrated=False,
        trip_c=80.0,
        trip_from="board",
        acts_on=("heat",),
        signals=(Signal(name="die temperature", found=True, where="cpu-thermal", note=""),),
        costs=(CostsOf(pipeline="porch", measured=False, problem="not measured"),),
    ),
    "silence": SilenceNotice(
        schema="edgeapp/silence/1",
        pipeline="porch",
        stage="camera",
        silent=True,
        gap_s=10.4,
        count=2,
    ),
    "health": HealthNotice(
        schema="edgeapp/health/1",
        health="ill",
        why="porch has failed",
        since_s=12.5,
        up_s=600.0,
        version="0.1.0",
        pipelines=(
            PipelineHealth(
                pipeline="porch",
                state="failed",
                why="stage 'detector' keeps raising",
                rate_hz=0.0,
                age_p50_ms=None,
                age_p99_ms=None,
                stage="detector",
                models=(
                    ModelHealth(
                        stage="detector", variant="yolox_nano", rung=1, divisor=1, pinned=False
                    ),
                ),
                losses=(Loss(stage="detector", reason="fault", packets=6, last_min=6),),
                last_fault=FaultHealth(
                    stage="detector", said="ValueError: no picture", ago_s=3.5, count=6
                ),
                silent=("camera",),
            ),
        ),
    ),
    "config": ConfigNotice(
        schema="edgeapp/config/1",
        refused="nothing was changed: yard.yaml:4: source 'bearing' has no option 'rate_hx'",
        last_good=(OnLastGood(pipeline="porch", file="porch.yaml", why="it failed: x"),),
        restart_needed=True,
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
    "governor": "governor/state",
    "signals": "governor/signals",
    "silence": "porch/camera/silent",
    "health": "health",
    "config": "config",
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
    ("governor", "an unknown level", lambda m: m.update(level="hot")),
    ("governor", "a temperature in words", lambda m: m.update(die_c="hot")),
    ("governor", "a stage with more fields", lambda m: m["stages"][0].update(hot=1)),
    ("governor", "a stage without a rung", lambda m: m["stages"][0].pop("rung")),
    ("signals", "a trip from nowhere", lambda m: m.update(trip_from="me")),
    ("signals", "a signal without a name", lambda m: m["signals"][0].pop("name")),
    ("signals", "costs without a word on them", lambda m: m["costs"][0].pop("measured")),
    ("silence", "silent in words", lambda m: m.update(silent="yes")),
    ("silence", "no count", lambda m: m.pop("count")),
    ("health", "an unknown word", lambda m: m.update(health="fine")),
    ("health", "a loss without its reason", lambda m: m["pipelines"][0]["losses"][0].pop("reason")),
    ("health", "a rate in words", lambda m: m["pipelines"][0].update(rate_hz="fast")),
    ("config", "no word on a restart", lambda m: m.pop("restart_needed")),
    ("config", "no pipeline", lambda m: m["last_good"][0].pop("pipeline")),
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
