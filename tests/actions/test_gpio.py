"""Switching a line. No chip is needed: a stand-in for gpiod keeps what it was told.

What the real library says to wrong chips is tested with the real library. Its simulator, gpio-sim,
is a kernel module and cannot be loaded in a container.
"""

import enum
import sys
import time
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.actions.gpio import Gpio, GpioOptions
from edgeapp.api import Detections, Event, Packet, Phase, Score, Unavailable
from edgeapp.testing import run_stage
from edgeapp.testing.stage import context


class Value(enum.Enum):
    INACTIVE = 0
    ACTIVE = 1


class Direction(enum.Enum):
    OUTPUT = 3


@dataclass
class Board:
    """What happened to the line: on, off, released; with the time of each."""

    done: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    broken: bool = False

    def note(self, what: str) -> None:
        self.done.append(what)
        self.times.append(time.monotonic())

    def wait_for(self, *done: str) -> None:
        for _ in range(6000):
            if self.done == list(done):
                return
            time.sleep(0.005)
        assert self.done == list(done)

    def request_lines(self, path: str, *, consumer: str, config: dict[Any, Any]) -> "Board":
        ((line, settings),) = config.items()
        self.settings = {"path": path, "consumer": consumer, "line": line, **settings}
        self.note("on" if settings["output_value"] is Value.ACTIVE else "off")
        return self

    def set_value(self, line: int | str, value: Value) -> None:
        if self.broken:
            raise OSError(19, "No such device")
        assert line == self.settings["line"]
        self.note("on" if value is Value.ACTIVE else "off")

    def release(self) -> None:
        self.note("released")


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    """A stand-in for the library, as its version 2 is called."""
    board = Board()
    gpiod: Any = types.ModuleType("gpiod")
    gpiod.request_lines, gpiod.LineSettings = board.request_lines, dict
    line: Any = types.ModuleType("gpiod.line")
    line.Direction, line.Value = Direction, Value
    monkeypatch.setitem(sys.modules, "gpiod", gpiod)
    monkeypatch.setitem(sys.modules, "gpiod.line", line)
    return board


def gpio(**options: Any) -> Gpio:
    return Gpio(GpioOptions.model_validate({"line": 17, **options}), context("lamp"))


def packet(value: Any) -> Packet[Any]:
    return Packet(value, "camera", 0, 0, 0, 0, 0, 0, 0, ())


def event(phase: Phase, name: str = "a") -> Packet[Any]:
    return packet(Event(phase, name, "track", "person", 0))


def found(count: int) -> Packet[Any]:
    box, scores = np.zeros((count, 4), np.float32), np.ones(count, np.float32)
    return packet(Detections(box, scores, np.zeros(count, np.int32), ("person",)))


def test_line_is_on_while_an_event_lasts(board: Board) -> None:
    with gpio() as stage:
        for one in (event("new"), event("update"), event("end")):
            stage.act(one)
    assert board.done == ["off", "on", "off", "off", "released"]


def test_line_is_on_until_the_last_event_ends(board: Board) -> None:
    with gpio() as stage:
        for one in (event("new"), event("new", "b"), event("end"), event("end", "b")):
            stage.act(one)
            if one.value.phase == "end" and one.value.event == "a":
                assert board.done == ["off", "on"]
    assert board.done == ["off", "on", "off", "off", "released"]


def test_a_pulse_ends_though_no_packet_comes(board: Board) -> None:
    with gpio(mode="pulse", pulse_s=0.05) as stage:
        before_s = time.monotonic()
        stage.act(event("new"))
        board.wait_for("off", "on", "off")
        assert board.times[2] - before_s >= 0.05


def test_a_pulse_that_outlasts_an_event_ends_all_the_same(board: Board) -> None:
    """A cause with no end comes while an event holds the line, and then nothing any more."""
    with gpio(mode="follow", pulse_s=0.05) as stage:
        stage.act(event("new"))
        time.sleep(0.01)  # now the thread waits for the end of the event
        stage.act(found(1))
        stage.act(event("end"))
        board.wait_for("off", "on", "off")


class Hand:
    """A clock that goes when it is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.now_s

    def is_looked_at(self) -> None:
        """Wait until somebody has looked, and looked again."""
        before = self.looks
        while self.looks < before + 2:
            time.sleep(0.005)


def test_a_new_cause_prolongs_the_pulse(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = Hand()
    monkeypatch.setattr("edgeapp.actions.gpio.time", hand)
    with gpio(mode="pulse", pulse_s=0.1) as stage:
        stage.act(found(1))
        hand.now_s = 0.06
        stage.act(found(2))
        hand.now_s = 0.15
        hand.is_looked_at()
        assert board.done == ["off", "on"]
        hand.now_s = 0.16
        board.wait_for("off", "on", "off")


def test_a_pulse_holds_nothing_up(board: Board) -> None:
    with gpio(mode="pulse", pulse_s=3600) as stage:
        began = time.monotonic()
        stage.act(found(1))
        assert time.monotonic() - began < 60
    assert board.done == ["off", "on", "off", "released"]


def test_nothing_found_is_no_cause(board: Board) -> None:
    with gpio(mode="pulse") as stage:
        stage.act(found(0))
        assert board.done == ["off"]
        stage.act(packet(Score(1.2)))
        assert board.done == ["off", "on"]


def test_toggle_changes_at_each_beginning(board: Board) -> None:
    with gpio(mode="toggle") as stage:
        for one in (event("new"), event("end"), event("new", "b"), found(0), found(1)):
            stage.act(one)
    assert board.done == ["off", "on", "off", "on", "off", "released"]


def test_line_is_taken_as_the_options_say(board: Board) -> None:
    """Active low is left to the kernel, so that on means on everywhere."""
    with gpio(line="SIREN", chip="/dev/gpiochip4", active="low", safe="on"):
        assert board.settings == {
            "path": "/dev/gpiochip4", "consumer": "edgeapp", "line": "SIREN",
            "direction": Direction.OUTPUT, "active_low": True, "output_value": Value.ACTIVE,
        }  # fmt: skip
    assert board.done == ["on", "on", "released"]


def test_a_fault_puts_the_line_into_its_safe_state(board: Board) -> None:
    """The runtime closes and rebuilds the stage: off, before anything else happens."""
    bad = event("new")._replace(value=Event("new", [], "track", "x", 0))  # type: ignore[arg-type]
    ran = run_stage(Gpio, {"line": 17}, [event("new"), bad])
    assert ran.dropped == {"fault": 1}
    assert board.done == ["off", "on", "off", "released", "off", "off", "released"]


def test_a_chip_that_is_gone_is_unavailable_and_let_go(board: Board) -> None:
    stage = gpio().__enter__()
    board.broken = True
    with pytest.raises(Unavailable, match="line '17' cannot be switched: No such device"):
        stage.act(event("new"))
    with pytest.raises(Unavailable):
        stage.__exit__(None, None, None)
    assert board.done[-1] == "released"


def test_a_chip_that_goes_during_a_pulse_is_told_with_the_next_packet(board: Board) -> None:
    stage = gpio(mode="pulse", pulse_s=0.01).__enter__()
    stage.act(found(1))
    board.broken = True
    stage._pulses._thread.join(5)
    with pytest.raises(Unavailable, match="cannot be switched"):
        stage.act(found(1))


@pytest.mark.parametrize(
    ("chip", "problem"),
    [("gpiochip9", "there is no chip"), ("file", "cannot be taken|has no line")],
)
def test_the_real_library_without_a_chip(tmp_path: Path, chip: str, problem: str) -> None:
    pytest.importorskip("gpiod")
    (tmp_path / "file").write_text("no device")
    with pytest.raises(Unavailable, match=problem), gpio(chip=str(tmp_path / chip)):
        pass


def test_the_real_library_is_called_as_it_is_written() -> None:
    """What the stand-in stands in for: these names and arguments exist."""
    real = pytest.importorskip("gpiod")
    from gpiod.line import Direction as RealDirection
    from gpiod.line import Value as RealValue

    settings = real.LineSettings(
        direction=RealDirection.OUTPUT, active_low=True, output_value=RealValue.ACTIVE
    )
    with pytest.raises(FileNotFoundError):
        real.request_lines("/dev/gpiochip999", consumer="edgeapp", config={"LED": settings})
    assert callable(real.LineRequest.set_value)
    assert callable(real.LineRequest.release)
