"""`edgeapp top`: what a person sees of a running device, and the keys that steer it."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

pytest.importorskip("textual")

from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from edgeapp.cli import exits, main, top_words
from edgeapp.cli.top_app import TopApp
from edgeapp.errors import Unavailable

STAGE = {
    "id": "camera",
    "kind": "source",
    "rate_hz": 14.8,
    "p50_ms": 3.2,
    "p99_ms": 9.1,
    "waiting": 0,
    "dropped": {},
    "lost": 0,
}
MODEL = {
    **STAGE,
    "id": "people",
    "kind": "model",
    "variant": "person-416",
    "rung": 1,
    "divisor": 2,
    "pinned": False,
    "waiting": 3,
    "dropped": {"late": 1_200},
    "lost": 4,
    "last": "person 0.91",
}
GOVERNOR = {
    "level": "fair",
    "die_celsius": 71.25,
    "forecast_30s_celsius": 72.0,
    "forecast_300s_celsius": 78.0,
}
FACTS: dict[str, Any] = {
    "device": "line-3",
    "version": "0.1.0",
    "up_s": 3_661.0,
    "start": {"mode": "normal", "why": ""},
    "uplink": None,
    "governor": GOVERNOR,
    "pipelines": [
        {"name": "porch", "state": "running", "why": "", "stages": [STAGE, MODEL]},
        {"name": "pump", "state": "waiting", "why": "bearing: no sensor", "stages": [STAGE]},
    ],
}


class Device:
    """Answers as a running process does, and remembers what it was asked."""

    def __init__(self) -> None:
        self.facts = copy.deepcopy(FACTS)
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.problem = ""

    def __call__(self, verb: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        if self.problem:
            raise Unavailable(self.problem)
        if verb != "status":
            self.asked.append((verb, dict(arguments)))
        if arguments.get("variant") == "2":
            raise exits.Quit(exits.USAGE, "'people' has no variant '2'")
        return self.facts


Story = Callable[[TopApp, Pilot[None]], Awaitable[None]]


def seen(device: Device, story: Story, *, size: tuple[int, int] = (120, 24)) -> None:
    """Run the screen without a terminal, and the story once something is on it."""

    async def main() -> None:
        app = TopApp(device)
        async with app.run_test(size=size) as pilot:
            await settled(app, pilot)
            await story(app, pilot)

    asyncio.run(main())


async def settled(app: TopApp, pilot: Pilot[None]) -> None:
    """Once everything that was asked has been answered."""
    await app.workers.wait_for_complete()
    await pilot.pause()


def text(app: TopApp, what: str) -> str:
    return str(app.query_one(what, Static).render())


def table(app: TopApp) -> list[list[str]]:
    """The table as text, row by row."""
    widget = app.query_one(DataTable)
    return [[str(cell) for cell in widget.get_row_at(n)] for n in range(widget.row_count)]


def test_everything_is_on_the_screen() -> None:
    async def story(app: TopApp, _pilot: Pilot[None]) -> None:
        assert text(app, "#head") == "line-3: edgeapp 0.1.0, up 1:01:01"
        assert text(app, "#heat").endswith("71.2 °C, 72 in 30 s, 78 in 5 min, fair")
        assert table(app) == [
            ["porch", "running", "", "", "", "", "", "", ""],
            ["  camera", "source", "14.8", "3.2", "9.1", "", "", "", ""],
            [
                "  people",
                "model",
                "14.8",
                "3.2",
                "9.1",
                "3",
                "1,204",
                "person-416 1/2",
                "person 0.91",
            ],
            ["pump", "waiting", "", "", "", "", "", "", "bearing: no sensor"],
            ["  camera", "source", "14.8", "3.2", "9.1", "", "", "", ""],
        ]

    seen(Device(), story)


@pytest.mark.parametrize(("width", "columns"), [(40, 3), (60, 5), (80, 7), (130, 9)])
def test_a_narrow_terminal_shows_what_matters_most(width: int, columns: int) -> None:
    async def story(app: TopApp, _pilot: Pilot[None]) -> None:
        assert {len(row) for row in table(app)} == {columns}
        assert app.query_one(DataTable).virtual_size.width <= max(width, 46)

    seen(Device(), story, size=(width, 24))


def test_another_size_shows_other_columns_with_the_cursor_where_it_was() -> None:
    async def story(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("down", "down")
        await pilot.resize_terminal(60, 24)
        for _ in range(200):  # the terminal's size comes as a message of its own
            if {len(row) for row in table(app)} == {5}:
                break
            await pilot.pause(0.02)
        assert {len(row) for row in table(app)} == {5}
        assert app.query_one(DataTable).cursor_row == 2

    seen(Device(), story)


def test_numbers_change_in_place() -> None:
    """The table is not made anew, so that nothing flickers and the cursor stays."""
    device = Device()

    async def story(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("down")
        before = [row.key for row in app.query_one(DataTable).ordered_rows]
        device.facts["pipelines"][0]["stages"][0]["rate_hz"] = 7.25
        app.look()
        await settled(app, pilot)
        assert table(app)[1][2] == "7.2"
        assert [row.key for row in app.query_one(DataTable).ordered_rows] == before
        assert app.query_one(DataTable).cursor_row == 1

    seen(device, story)


def test_keys_pin_set_free_and_pause_what_is_selected() -> None:
    device = Device()

    async def story(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("down", "down", "-")
        await settled(app, pilot)
        assert text(app, "#said") == "porch/people: pinned, a sets it free"
        await pilot.press("a")
        await settled(app, pilot)
        await pilot.press("p")
        await settled(app, pilot)
        device.facts["pipelines"][0]["state"] = "paused"
        app.look()
        await settled(app, pilot)
        await pilot.press("p")
        await settled(app, pilot)

    seen(device, story)
    assert device.asked == [
        ("pin", {"stage": "porch/people", "variant": "0"}),
        ("auto", {"stage": "porch/people"}),
        ("pause", {"pipeline": "porch"}),
        ("resume", {"pipeline": "porch"}),
    ]


def test_what_cannot_be_done_is_said() -> None:
    device = Device()

    async def story(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("+")
        await settled(app, pilot)
        assert text(app, "#said") == "'people' has no variant '2'"
        await pilot.press("down", "a")
        assert text(app, "#said") == "put the cursor on a stage with a model"

    seen(device, story)


def test_a_process_that_is_gone_is_waited_for() -> None:
    device = Device()

    async def story(app: TopApp, pilot: Pilot[None]) -> None:
        device.problem = "nothing runs"
        app.look()
        await settled(app, pilot)
        assert text(app, "#said") == "nothing to be seen: nothing runs"
        assert table(app), "what was seen last stays"
        device.problem = ""
        device.facts["device"] = "line-4"
        app.look()
        await settled(app, pilot)
        assert text(app, "#head").startswith("line-4")

    seen(device, story)


def test_q_ends_it() -> None:
    async def story(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("q")
        await pilot.pause()
        assert not app.is_running

    seen(Device(), story)


def test_safe_mode_stands_at_the_top() -> None:
    facts = {**FACTS, "start": {"mode": "safe", "why": "3 starts died"}, "pipelines": []}
    assert top_words.head(facts)[1] == "safe mode, no pipeline runs: 3 starts died"


def test_the_curve_has_one_scale_for_what_was_and_what_will_be() -> None:
    assert top_words.curve([60.0, 64.0], [68.0]) == "▁▅│█"
    assert top_words.curve([60.0, 60.1], []) == "▁▁│"
    assert top_words.curve([], []) == ""


def test_heat_fits_its_line() -> None:
    for width in range(20, 200):
        said = top_words.heat(GOVERNOR, [60.0 + n / 10 for n in range(100)], width)
        assert len(said) <= max(width, 50)
    assert top_words.heat(None, [], 80) == "no watchdog"


def test_without_a_terminal_it_says_what_to_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top"]) == exits.USAGE
    assert "edgeapp status" in capsys.readouterr().err


def test_without_textual_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edgeapp.cli.top.find_spec", lambda _name: None)
    assert main(["top"]) == exits.UNAVAILABLE
    assert "pip install 'edgeapp[top]'" in capsys.readouterr().err
