"""What is told at a tick, without what cannot be true."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edgeapp.core.dial import Setting
from edgeapp.watchdog.ladder import Ladder, Tenant
from edgeapp.watchdog.tick import Reading, SensorReading, StageWork, Work

_MOST_CORES = 1024.0
_READING_RANGES = {
    "busy_cores": (0.0, _MOST_CORES),
    "clock_ratio": (0.01, 2.0),
    "overcurrent_events": (0, 1 << 62),
    "battery": (0.0, 1.0),
    "battery_wh": (0.0, 1e6),
    "power_w": (0.0, 1e5),
    "cpu_pressure": (0.0, 1.0),
    "memory_pressure": (0.0, 1.0),
    "memory_available_mb": (0.0, 1e9),
    "quota_throttled": (0.0, 1.0),
}
_TEMPERATURES_C = (-273.15, 1000.0)
"""Beyond them it is no temperature at all; what is merely unlikely is judged with the others."""
_MOST_HZ = 1e6
_MOST_CALL_S = 3600.0


def plausible_reading(reading: Reading) -> Reading:
    """The same, with None for each number that is none or lies beyond any device."""
    wrong: dict[str, None] = {}
    for name, (low, high) in _READING_RANGES.items():
        value = getattr(reading, name)
        if value is not None and not low <= value <= high:
            wrong[name] = None
    if wrong:
        reading = replace(reading, **wrong)  # type: ignore[arg-type]  # all of them may be None
    if not all(map(_is_temperature, reading.sensors)):
        sensors = tuple(
            sensor
            if _is_temperature(sensor)
            else SensorReading(sensor.name, sensor.kind, None, "garbage")
            for sensor in reading.sensors
        )
        reading = replace(reading, sensors=sensors)
    return reading


def plausible_work(work: Work, tenants: Sequence[Tenant]) -> Work:
    """The same for exactly the stages of the tenants, with defaults where nothing true is told."""
    stages = {
        ladder.key: _plausible_stage(work.stages, ladder)
        for tenant in tenants
        for ladder in tenant.ladders
    }
    own = work.own_cores if 0 <= work.own_cores <= _MOST_CORES else 0.0
    return Work(own, stages, work.paused)


def _is_temperature(sensor: SensorReading) -> bool:
    value = sensor.value_c
    return value is None or _TEMPERATURES_C[0] <= value <= _TEMPERATURES_C[1]


def _plausible_stage(stages: Mapping[tuple[str, str], StageWork], ladder: Ladder) -> StageWork:
    rungs = len(ladder.rungs)
    told = stages.get(ladder.key)
    if told is None:
        return StageWork(ladder.rate_hz, Setting(0))
    if _is_setting(told.actual, rungs) and _is_whole(told, rungs):
        return told
    return replace(
        told,
        rate_hz=told.rate_hz if 0 <= told.rate_hz <= _MOST_HZ else 0.0,
        actual=told.actual if _is_setting(told.actual, rungs) else Setting(rungs - 1),
        struck=frozenset(rung for rung in told.struck if 0 <= rung < rungs),
        pinned=told.pinned if _may_be_pinned(told.pinned, rungs) else None,
        cpu_s=told.cpu_s if _is_time(told.cpu_s) else None,
        wall_s=told.wall_s if _is_time(told.wall_s) else None,
        answered=max(0, told.answered),
        late=max(0, told.late),
    )


def _is_whole(told: StageWork, rungs: int) -> bool:
    """Whether all of it can be true."""
    return (
        0 <= told.rate_hz <= _MOST_HZ
        and _may_be_pinned(told.pinned, rungs)
        and _is_time(told.cpu_s)
        and _is_time(told.wall_s)
        and all(0 <= rung < rungs for rung in told.struck)
        and told.answered >= 0
        and told.late >= 0
    )


def _is_setting(setting: Setting, rungs: int) -> bool:
    return 0 <= setting.rung < rungs and setting.divisor >= 0


def _may_be_pinned(setting: Setting | None, rungs: int) -> bool:
    return setting is None or (_is_setting(setting, rungs) and setting.divisor > 0)


def _is_time(seconds: float | None) -> bool:
    return seconds is None or 0 <= seconds <= _MOST_CALL_S
