"""What a frame of the live view looks like."""

import re
from dataclasses import replace
from typing import Any

import pytest

from edgeapp.cli.painter import width
from edgeapp.cli.view import Scene, UplinkView, frame
from edgeapp.core.payload import Score
from edgeapp.runtime.status import PipelineStatus
from edgeapp.service.recent import Recent
from tests.cli import scenes

GOLDEN = """\
edgeapp  0:12 of 0:30  Ctrl-C stops
● mqtt 127.0.0.1:1883 connected  275 sent · 0 queued · 0 dropped

inspection  ● running         rate/s  p50 ms  p99 ms  queue  dropped
  belt      conveyor            30.0
  detect    conveyor_160 ↓1     30.0     4.1     4.1      1  2 full, 1 late
  faulty    keep                30.0
  picture   save_image           3.0     4.1     4.1
  parts     mqtt                30.0     4.1     4.1
  alarm     mqtt                 3.0     4.1     4.1
  → detect: part 0.93, scratched 0.88

pump-7  ● running             rate/s  p50 ms  p99 ms  queue  dropped
  bearing   bearing             20.0
  second    window              20.0
  features  features             2.0
  health    anomaly              2.0
  strange   gate                 2.0
  warn      mqtt                   0
  trend     mqtt                 0.2
  → health: learning 37 %  █████████░░░░░░░░░░░░░░░
messages: .venv/bin/edgeapp listen --port 1883"""


def text(lines: list[str]) -> str:
    return "\n".join(line.rstrip() for line in lines)


def test_both_demo_pipelines_fit_80_by_24() -> None:
    assert text(frame(scenes.demo(), 80, 24)) == GOLDEN


def test_the_watchdog_stands_below_the_broker_with_what_it_holds_back() -> None:
    shown = frame(replace(scenes.demo(), governor=scenes.WARM), 100, 24)
    assert shown[2:4] == [
        "● watchdog: fair, die 74.1 °C, headroom 0.86, pipelines take 1.21 of 1.42 cores",
        "  held back by heat (5 minutes ahead): the heat of the next 5 minutes allows 1.42 cores",
    ]
    calm = scenes.WARM | {"level": "nominal", "binding": "none"}
    colored = frame(replace(scenes.demo(color=True), governor=calm), 100, 24)
    assert colored[2].startswith("\x1b[32m● watchdog: nominal\x1b[0m")
    assert colored[3] == ""


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("rows", [10, 16, 24, 40])
@pytest.mark.parametrize("governor", [None, scenes.WARM])
def test_a_frame_never_exceeds_the_terminal(
    columns: int, rows: int, governor: dict[str, Any] | None
) -> None:
    lines = frame(replace(scenes.demo(color=True), governor=governor), columns, rows)
    assert len(lines) <= rows
    assert max(width(line) for line in lines) < columns


def test_colors_change_no_text() -> None:
    plain, colored = scenes.demo(), scenes.demo(color=True)
    shown = [re.sub(r"\x1b\[\d+m", "", line) for line in frame(colored, 80, 24)]
    assert shown == frame(plain, 80, 24)
    assert any("\x1b[" in line for line in frame(colored, 80, 24))


def test_when_rows_are_short_models_sources_and_results_stay() -> None:
    shown = text(frame(scenes.demo(), 80, 12))
    assert "belt" in shown
    assert "conveyor_160" in shown
    assert "part 0.93" in shown
    assert "learning 37 %" in shown
    assert "faulty" not in shown


def test_a_score_is_called_normal_or_unusual() -> None:
    assert "→ health: score 0.42, normal" in text(frame(scenes.demo(score=Score(0.42)), 80, 24))
    assert "→ health: score 3.10, unusual" in text(frame(scenes.demo(score=Score(3.1)), 80, 24))
    nan = scenes.demo(score=Score(float("nan")))
    assert "→ health: score not a number" in text(frame(nan, 80, 24))


def alone(pipeline: PipelineStatus) -> str:
    return text(frame(Scene(0.0, None, [pipeline], Recent(), scenes.NOW_NS, color=False), 80, 24))


def test_what_a_pipeline_waits_for_stands_beside_its_name() -> None:
    shown = alone(PipelineStatus("porch", "waiting", "camera: /dev/video0 is not there", ()))
    assert "porch  ● waiting: camera: /dev/video0 is not there" in shown


def test_an_old_result_says_how_old_it_is() -> None:
    last = scenes.packet(scenes.found(person=0.7), age_s=65)
    stage = scenes.stage("detect", "model", "detector", last=last)
    assert "→ detect: person 0.70  (1:05 ago)" in alone(
        PipelineStatus("p", "running", "", (stage,))
    )


def test_what_the_governor_shed_is_shown_apart_from_drops() -> None:
    stage = scenes.stage("detect", "model", "detector", dropped={"late": 3}, shed=40)
    assert "3 late, 40 shed" in alone(PipelineStatus("p", "running", "", (stage,)))


def test_a_label_cannot_steer_the_terminal() -> None:
    last = scenes.packet(scenes.found(**{"\x1b[2J": 0.9}))
    stage = scenes.stage("detect", "model", "detector", last=last)
    assert "\x1b" not in alone(PipelineStatus("p", "failed", "\x1b]0;x", (stage,)))


def test_without_an_uplink_nothing_is_said_of_a_broker() -> None:
    assert "mqtt" not in alone(PipelineStatus("p", "running", "", ()))


def test_how_well_messages_are_kept_has_a_line_of_its_own() -> None:
    """Above the pipelines; it is cut where the terminal ends, and takes no row where there is none."""
    kept = "outbox 1,234 waiting, oldest 2:03 · 0 sent · 0 dropped · 412 kB written"
    uplink = UplinkView("mqtt broker:1883 not connected", "yellow", "connection refused", kept)
    scene = replace(scenes.demo(), uplink=uplink)
    lines = frame(scene, 60, 24)
    assert lines[1] == "● mqtt broker:1883 not connected  connection refused"
    assert lines[2] == "  outbox 1,234 waiting, oldest 2:03 · 0 sent · 0 dropped ·…"
    assert len(frame(scene, 60, 8)) == 8
