"""What runs when the service does not come up as it is configured: what was good, else nothing."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeapp.config.places import Places
from edgeapp.errors import Complaint, ConfigError
from edgeapp.service.control.server import RefusedError
from edgeapp.service.starts.fallback import Again, device_texts, fall_back, keep_device_texts
from edgeapp.service.starts.good import GoodFiles
from edgeapp.service.starts.start import Start
from edgeapp.testing.stage import LogBook

PUMP = """\
name: pump
stages:
  bearing: {source: bearing}
  second: {transform: window, length_s: 0.2}
  features: {transform: features}
  trend: {output: jsonl, file: trend.jsonl}
"""
SAFE = Start("safe", "3 starts ended within seconds")
LAST_GOOD = Start("last-good", "3 starts ended within seconds")


@pytest.fixture
def of(tmp_path: Path) -> Places:
    """An installation with a device file, one beside it, and a pipeline."""
    of = Places(tmp_path / "etc", tmp_path / "data", tmp_path / "run")
    of.pipelines.mkdir(parents=True)
    (of.config / "conf.d").mkdir()
    of.device_file.write_text("device: line-3\n")
    (of.config / "conf.d" / "50-broker.yaml").write_text("mqtt: {host: broker.local}\n")
    (of.pipelines / "pump.yaml").write_text(PUMP)
    return of


def keep(of: Places) -> GoodFiles:
    """Keep all of it, as after a healthy start."""
    good = GoodFiles(of.data)
    keep_device_texts(good, of, device_texts(of))
    for file in of.pipelines.iterdir():
        good.keep(file, file.read_bytes())
    return good


def test_in_safe_mode_the_broker_is_kept_and_no_pipeline_is_even_read(of: Places) -> None:
    (of.pipelines / "pump.yaml").write_text("}{")
    what = fall_back(SAFE, of, LogBook())
    assert what.plans == ()
    assert what.device.device == "line-3"
    assert what.device.mqtt is not None
    assert not what.device.watchdog.enabled


@pytest.mark.parametrize("text", ["}{", "mqtt: {hst: x}", "- a list", "\x00", "plugins: nowhere"])
def test_safe_mode_comes_up_without_a_broker_when_the_device_file_is_wrong(
    of: Places, text: str
) -> None:
    of.device_file.write_text(text)
    log = LogBook()
    what = fall_back(SAFE, of, log)
    assert what.device.mqtt is None
    assert (what.device.data_dir, what.device.run_dir) == (of.data, of.run)
    assert "the device configuration is wrong" in log.said("error")


def test_safe_mode_takes_the_device_file_that_was_good_when_the_one_there_is_wrong(
    of: Places,
) -> None:
    """What waits in the outbox still goes to the broker that it is for."""
    keep(of)
    of.device_file.write_text("}{")
    what = fall_back(SAFE, of, LogBook())
    assert what.device.device == "line-3"
    assert what.device.mqtt is not None
    assert what.device.mqtt.host == "broker.local"


def test_what_was_good_runs_whatever_is_there_now(of: Places) -> None:
    keep(of)
    (of.pipelines / "pump.yaml").write_text(PUMP.replace("bearing}", "bearing, fault: nonsense}"))
    (of.pipelines / "new.yaml").write_text(PUMP.replace("pump", "new"))
    (of.config / "conf.d" / "50-broker.yaml").write_text("mqtt: {host: elsewhere.local}\n")
    (of.config / "conf.d" / "60-more.yaml").write_text("device: renamed\n")
    what = fall_back(LAST_GOOD, of, LogBook())
    assert what.start == LAST_GOOD
    assert [plan.name for plan in what.plans] == ["pump"]
    assert what.plans[0].file == of.pipelines / "pump.yaml"
    assert what.device.device == "line-3"
    assert what.device.mqtt is not None
    assert what.device.mqtt.host == "broker.local"
    assert (of.config / "conf.d" / "60-more.yaml").exists(), "nothing of the user's is touched"


def test_a_pipeline_that_was_good_and_lost_its_model_leaves_the_others_running(of: Places) -> None:
    (of.pipelines / "a.yaml").write_text(
        "stages: {bearing: {source: bearing}, m: {model: classifier, file: gone.onnx}}\n"
    )
    keep(of)
    log = LogBook()
    what = fall_back(LAST_GOOD, of, log)
    assert [plan.name for plan in what.plans] == ["pump"]
    assert log.said("error") == ["a pipeline that was good is not any more"]


def test_where_nothing_was_kept_last_good_is_safe_mode(of: Places) -> None:
    what = fall_back(LAST_GOOD, of, LogBook())
    assert what.start.mode == "safe"
    assert what.start.why == f"{LAST_GOOD.why}; no pipeline was kept that was good"
    assert what.plans == ()


def test_device_files_that_are_gone_are_not_good_any_more(of: Places) -> None:
    good = keep(of)
    extra = of.config / "conf.d" / "50-broker.yaml"
    extra.unlink()
    keep_device_texts(good, of, device_texts(of))
    assert extra not in good.originals()
    assert of.device_file in good.originals()
    assert of.pipelines / "pump.yaml" in good.originals()


def again(check: Callable[[], object], settle: Callable[[], object] = lambda: None) -> str | None:
    """What a reload says; None if it let the process end."""
    told: list[str] = []
    ended: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: ended.append(number))

    async def main() -> None:
        try:
            told.append(await Again(check, settle, log=LogBook())())
        except RefusedError as error:
            told.append(str(error))
        await asyncio.sleep(0.4)

    try:
        asyncio.run(main())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(told) == 1
    return None if ended else told[0]


def test_a_reload_ends_the_process_once_the_configuration_is_right() -> None:
    settled: list[bool] = []
    assert again(lambda: None, lambda: settled.append(True)) is None
    assert settled == [True]


def test_a_reload_of_what_is_still_wrong_changes_nothing() -> None:
    def check() -> None:
        raise ConfigError([Complaint(None, "there is no model file 'x.onnx'")])

    assert again(check) == "nothing was changed: there is no model file 'x.onnx'"


def test_a_reload_survives_what_cannot_be_imported() -> None:
    def check() -> None:
        raise ImportError("libGL.so.1: cannot open shared object file")

    said = again(check)
    assert said is not None
    assert "libGL.so.1" in said


def test_a_start_that_cannot_be_marked_healthy_is_not_ended() -> None:
    """The guard would count it, and never start as configured again."""

    def full() -> None:
        raise OSError(28, os.strerror(28))

    said = again(lambda: None, full)
    assert said is not None
    assert "No space left" in said
