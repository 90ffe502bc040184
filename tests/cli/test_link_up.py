"""Whether a pipeline needs a broker, and which outbox it gets."""

from pathlib import Path

import pytest

from edgeapp.cli import main
from edgeapp.cli.link_up import link_up, needs_broker
from edgeapp.config.device import read_device
from edgeapp.core.clock import MonotonicClock
from edgeapp.plan.load import load
from edgeapp.testing.stage import LogBook

PUMP = """\
name: pump
stages:
  bearing: {source: bearing}
  second: {transform: window, length_s: 1}
  health: {transform: machine_health, group: 2, mounting: rigid, %s}
  events: {output: jsonl, file: events.jsonl}
"""


def pump(folder: Path, option: str) -> Path:
    file = folder / "pump.yaml"
    file.write_text(PUMP % option)
    return file


@pytest.mark.parametrize(
    ("option", "needed"), [("speed_rpm: 1480", False), ("speed_topic: plant/rpm", True)]
)
def test_a_topic_that_is_followed_takes_a_broker(option: str, needed: bool, tmp_path: Path) -> None:
    device = tmp_path / "device.yaml"
    device.write_text("{device: pump-7, data_dir: data}")
    assert needs_broker(load([pump(tmp_path, option)], device=read_device(device))) is needed


def test_nobody_is_connected_to_unless_a_broker_is_named_or_needed(tmp_path: Path) -> None:
    device = tmp_path / "device.yaml"
    device.write_text("{device: pump-7, data_dir: data}")
    config = read_device(device)
    plans = load([pump(tmp_path, "speed_rpm: 1480")], device=config)
    with link_up(config, plans, log=LogBook(), clock=MonotonicClock()) as link:
        assert link.endpoint is None
        assert link.disk is None
        assert link.uplink.watch("plant/rpm").latest() is None
    assert not (tmp_path / "data" / "outbox").exists()
    assert link.sentence() == ""


def test_a_broker_that_is_named_is_connected_to_though_nothing_is_sent(tmp_path: Path) -> None:
    """It is told that the device is there, and gets what earlier runs left."""
    device = tmp_path / "device.yaml"
    device.write_text("{device: pump-7, data_dir: data, mqtt: {host: 127.0.0.1, port: 1}}")
    config = read_device(device)
    plans = load([pump(tmp_path, "speed_rpm: 1480")], device=config)
    with link_up(config, plans, log=LogBook(), clock=MonotonicClock()) as link:
        assert link.endpoint is not None
        assert link.disk is not None
        assert link.uplink.watch("plant/rpm").latest() is None
    assert (tmp_path / "data" / "outbox").is_dir()
    assert link.sentence() == "0 messages sent to 127.0.0.1:1, none dropped."


def test_a_topic_with_wildcards_is_refused_at_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = pump(tmp_path, "speed_topic: plant/+/rpm")
    assert main(["check", str(file)]) == 78
    said = capsys.readouterr()
    assert f"{file}:5:" in said.out + said.err
    assert "one topic in full, without '+' and '#', as in plant/pump7/rpm" in said.out + said.err


def test_check_tells_what_a_replay_makes_of_a_topic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(pump(tmp_path, "speed_topic: plant/rpm"))]) == 0
    assert "a replay hears none, and judges nothing" in capsys.readouterr().out
