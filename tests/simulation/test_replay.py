"""A recording, shown to the governor: what it would have done, and that nothing changes by it."""

from edgeapp.simulation.record import Recorder
from edgeapp.simulation.replay import Replayed, ReplaySummary, replay
from edgeapp.simulation.scenarios import PI4_PRIOR, soc_sensor, tenants
from edgeapp.simulation.series import Series
from edgeapp.simulation.spec import Fault, SensorSpec
from edgeapp.simulation.trace import Trace
from edgeapp.watchdog.governor import Governor
from edgeapp.watchdog.limits import Limits
from tests.simulation.bench_device import BenchDevice


def recording(*loads: tuple[float, float], sensor: SensorSpec | None = None) -> Trace:
    device = BenchDevice(sensors=(sensor or soc_sensor(),), ambient_c=25.0)
    recorder = Recorder(device.clock, lambda: 0.0, name="porch", cores=4, files=device.files)
    for _ in device.course(*loads):
        recorder.tick()
    return recorder.trace()


def shown(trace: Trace) -> tuple[list[Replayed], ReplaySummary]:
    limits = Limits(4)
    ticks: list[Replayed] = []
    summary = ReplaySummary(limits.trip_c)
    replay(trace, Governor, tenants(), limits, PI4_PRIOR, watch=ticks.append)
    for tick in ticks:
        summary.note(tick)
    return ticks, summary


def test_a_governor_sees_the_recorded_heat_whatever_it_does() -> None:
    """Up to where the neighbour's load alone throttles the device."""
    trace = recording((120, 0.2), (600, 4.0))
    ticks, summary = shown(trace)
    assert trace.samples is not None
    column = trace.samples.column("class/thermal/thermal_zone0/temp")
    assert [round(1000 * (tick.die_c or 0)) for tick in ticks] == column
    assert summary.over_s == sum(value is not None and value >= 80_000 for value in column) > 0
    assert summary.ticks == 720
    assert summary.levels.total() == 720
    assert summary.changes > 0
    assert summary.infeasible > 0


def test_a_cool_recording_wants_nothing_changed() -> None:
    _, summary = shown(recording((300, 0.1)))
    assert summary.over_s == 0
    assert summary.infeasible == 0
    assert summary.urgent == 0


def test_a_recording_of_a_blind_stretch_counts_it() -> None:
    sensor = soc_sensor(Fault(100.0, 160.0, "eio", 1.0))
    ticks, summary = shown(recording((300, 0.5), sensor=sensor))
    assert summary.without_heat == 60
    assert len(ticks) == 300


def test_the_course_of_a_replay_is_kept_to_be_drawn() -> None:
    ticks, _ = shown(recording((90, 1.0)))
    series = Series()
    for tick in ticks:
        series.replayed(tick)
    chart = series.chart("porch", "", trip_c=80.0, cores=4, tenants=tenants())
    assert [band.name for band in chart.bands] == ["camera", "vibration", "audio"]
    assert all(len(band.settings) == len(chart.t_s) == 90 for band in chart.bands)
    assert len(chart.die_c) == len(chart.forecast_c) == 90
    assert list(chart.forecast_c[:30]) == [None] * 30
    assert chart.forecast_c[31] == ticks[1].decision.forecast_30s_c
