"""Recording a device: what the readers read, so that a replay shows the same."""

from pathlib import Path

import pytest

from edgeapp.simulation import record
from edgeapp.simulation.record import Recorder
from edgeapp.simulation.scenarios import soc_sensor
from edgeapp.simulation.spec import Fault
from edgeapp.simulation.trace import Trace, read_trace, write_trace
from edgeapp.simulation.tree import RecordedSenses
from edgeapp.watchdog.tick import Reading
from tests.simulation.bench_device import BenchDevice

TEMP = "class/thermal/thermal_zone0/temp"


def recorder_of(device: BenchDevice, **options: float) -> Recorder:
    tick_s = options.get("tick_s", 1.0)
    return Recorder(
        device.clock, lambda: 0.25, name="porch", tick_s=tick_s, cores=4, files=device.files
    )


def recorded(device: BenchDevice, *loads: tuple[float, float]) -> tuple[Trace, list[Reading]]:
    """A recording, and what the readers made of the device meanwhile."""
    recorder = recorder_of(device)
    told = []
    for _ in device.course(*loads):
        recorder.tick()
        assert recorder.reading is not None
        told.append(recorder.reading)
    return recorder.trace(), told


def test_a_replay_shows_what_was_recorded(tmp_path: Path) -> None:
    """Through the file, for every signal of the device, also while a sensor failed."""
    spec = soc_sensor(Fault(100.0, 130.0, "eio", 1.0), Fault(150.0, 170.0, "freeze"))
    trace, told = recorded(BenchDevice(sensors=(spec,)), (60, 0.2), (120, 3.5), (60, 1.0))
    write_trace(tmp_path / "trace.json", trace)
    again = read_trace(tmp_path / "trace.json")
    assert again == trace
    assert again.samples is not None
    senses = RecordedSenses(again, 4)
    shown = [senses.read(t_s) for t_s in again.samples.t_s]
    assert [one.sensors for one in shown] == [one.sensors for one in told]
    assert [one.clock_ratio for one in shown] == [one.clock_ratio for one in told]
    for one, other in zip(shown[1:], told[1:], strict=True):
        assert one.busy_cores == pytest.approx(other.busy_cores, abs=0.03)
        assert one.memory_available_mb == pytest.approx(other.memory_available_mb, abs=0.1)


def test_what_stays_is_kept_once_but_temperatures_are_columns() -> None:
    trace, _ = recorded(BenchDevice(), (70, 0.2))
    assert trace.samples is not None
    assert TEMP in trace.samples.columns
    assert "class/thermal/thermal_zone0/type" in trace.static_files
    frequency = "devices/system/cpu/cpufreq/policy0/scaling_cur_freq"
    assert trace.static_files[frequency] == "1500000\n"
    assert frequency not in trace.samples.columns
    assert set(trace.samples.column("own_cpu")) == {0.25}


def test_a_recording_knows_its_cores_and_what_is_believed_of_the_board() -> None:
    trace, _ = recorded(BenchDevice(), (5, 0.2))
    assert trace.limits is not None
    assert trace.limits.cores == 4
    assert trace.prior is not None
    assert trace.prior.board == "generic"


def test_a_device_without_sensors_is_recorded_by_its_load() -> None:
    trace, _ = recorded(BenchDevice(sensors=()), (5, 2.0))
    assert trace.samples is not None
    assert trace.samples.column("total_cpu") == pytest.approx([2.0] * 5, abs=0.02)
    assert not [path for path in trace.samples.files if path.endswith("temp")]


def test_time_that_was_slept_through_is_rows_without_values(tmp_path: Path) -> None:
    """A stopped process leaves a recording that can be read."""
    device = BenchDevice()
    recorder = recorder_of(device)
    for seconds in (1.0, 1.0, 47.0, 1.0):
        device.second(seconds)
        recorder.tick()
    write_trace(tmp_path / "trace.json", recorder.trace())
    samples = read_trace(tmp_path / "trace.json").samples
    assert samples is not None
    assert list(samples.t_s) == [1, 2, 12, 22, 32, 42, 49, 50]
    heat = samples.column(TEMP)
    assert [value is None for value in heat] == [False, False, *[True] * 4, False, False]


def test_samples_that_come_at_once_are_one(tmp_path: Path) -> None:
    """A process that was held up may ask for several: each time stands in a recording once."""
    device = BenchDevice()
    recorder = recorder_of(device)
    for seconds in (1.0, 0.0, 0.0001, 1.0):
        device.second(seconds)
        recorder.tick()
    write_trace(tmp_path / "trace.json", recorder.trace())
    samples = read_trace(tmp_path / "trace.json").samples
    assert samples is not None
    assert list(samples.t_s) == [1, 2]


def test_a_recording_ends_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "MOST_ROWS", 10)
    device = BenchDevice()
    recorder = recorder_of(device)
    full = []
    for _ in device.course((12, 1.0)):
        recorder.tick()
        full.append(recorder.full)
    assert full == [False] * 9 + [True] * 3
    assert recorder.rows == 10
    assert recorder.trace().duration_s == 10.0


def test_garbage_in_the_files_is_recorded_and_can_be_read(tmp_path: Path) -> None:
    device = BenchDevice()
    recorder = recorder_of(device)
    for number in range(20):
        device.second()
        device.files[f"/sys/{TEMP}"] = bytes(range(number, number + 40)) * 20
        recorder.tick()
    write_trace(tmp_path / "trace.json", recorder.trace())
    samples = read_trace(tmp_path / "trace.json").samples
    assert samples is not None
    assert samples.column(TEMP) == [None] * 20
