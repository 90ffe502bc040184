"""The state of the uplink in words."""

from typing import Any

import pytest

from edgeapp.cli.uplink_words import uplink_lines, uplink_view
from edgeapp.cli.words import size
from edgeapp.core.clock import NS
from edgeapp.service.uplink_facts import COUNTERS, uplink_facts
from edgeapp.uplink.outbox import OutboxStatistics
from edgeapp.uplink.sender import UplinkStatistics


def facts(*, store: str = "disk", outbox: dict[str, Any] | None = None, **uplink: Any) -> Any:
    """Of a device that has been up for a minute; what is not given is 0 or nothing."""
    kept: dict[str, Any] = {
        "offered": 0,
        "settled": 0,
        "dropped": {},
        "waiting": 0,
        "in_flight": 0,
        "waiting_bytes": 0,
        **(outbox or {}),
    }
    link = {"connected": True, "since_ns": 50 * NS, "protocol": "5", "problem": "", **uplink}
    now = UplinkStatistics(OutboxStatistics(**kept), **link)
    return uplink_facts(now, broker="broker:1883", store=store, now_ns=60 * NS)


DOWN = "broker broker:1883: connection refused: no broker listens on that port"


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (
            facts(outbox={"settled": 275, "bytes_written": 512}),
            [
                "mqtt broker:1883 connected: 275 sent · 0 dropped",
                "  outbox 0 waiting · 512 B written",
            ],
        ),
        (
            facts(
                connected=False,
                problem=DOWN,
                outbox={"waiting": 1234, "oldest_s": 123.0, "dropped": {"full": 3}},
            ),
            [
                "mqtt broker:1883 not connected: connection refused: no broker listens on that port",
                "  outbox 1,234 waiting, oldest 2:03 · 0 sent · 3 dropped · 0 B written",
            ],
        ),
        (
            facts(
                replay_per_s=850.4,
                refused=2,
                outbox={"waiting": 900, "in_flight": 20, "backlog": 900, "oldest_s": 7_384.0},
            ),
            [
                "mqtt broker:1883 connected: 0 sent · 0 dropped · 2 refused",
                "  outbox 920 waiting, oldest 2:03:04 · replaying 850/s · 0 B written",
            ],
        ),
        (
            facts(outbox={"problem": "no room \x1b[2J", "waiting": 5, "oldest_s": 0.5}),
            [
                "mqtt broker:1883 connected: 0 sent · 0 dropped",
                "  outbox 5 waiting, oldest 500 ms · in memory alone: no room \ufffd[2J · 0 B written",
            ],
        ),
        (
            facts(store="memory", outbox={"settled": 9, "in_flight": 1}),
            ["mqtt broker:1883 connected: 9 sent · 1 waiting · 0 dropped"],
        ),
        (
            facts(connected=False, outbox={"waiting": 1}),
            [
                "mqtt broker:1883 connecting: 0 sent · 0 dropped",
                "  outbox 1 waiting, oldest 0 ms · 0 B written",
            ],
        ),
    ],
)
def test_a_line_on_the_connection_and_one_on_the_outbox(now: Any, said: list[str]) -> None:
    """Where messages wait in memory by intent, one line says all."""
    assert uplink_lines(now) == said


def test_colors_tell_how_well_it_goes() -> None:
    states = [
        uplink_view(facts()),
        uplink_view(facts(connected=False)),
        uplink_view(facts(connected=False, problem=DOWN)),
    ]
    assert [view.color for view in states] == ["green", "cyan", "yellow"]


def test_numbers_have_names_with_units() -> None:
    """Of each number it is known whether it only rises; a metric needs to know."""
    now = facts(replay_per_s=9.0, connected=False)
    numbers = {
        name: value
        for name, value in now.items()
        if type(value) in {int, float} or name == "dropped_messages"
    }
    units = ("_s", "_bytes", "_messages", "_states", "retries", "reconnects")
    assert all(name.endswith(units) for name in numbers)
    assert numbers.keys() > COUNTERS
    assert now["since_s"] == 10.0
    assert now["replay_per_s"] == 0.0  # nothing is replayed while there is no connection


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 kB"), (4.1 * 1024, "4.1 kB"), (64 * 1024**2, "64 MB"),
     (2_000 * 1024**3, "2,000.0 GB")],
)  # fmt: skip
def test_sizes_are_those_of_device_files(count: float, said: str) -> None:
    assert size(count) == said
