"""What is wrong besides the heat is noticed by what it does to the work."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from edgeapp.core.dial import Setting
from edgeapp.watchdog.detectors import Detectors, Findings
from edgeapp.watchdog.ladder import Ladder, Rung, Tenant
from edgeapp.watchdog.limits import Limits
from edgeapp.watchdog.tick import Reading, StageWork, Work

RUNGS = (
    Rung("large", 0.1, 0.8, wall_s=0.13, call_cpu_s=0.08),
    Rung("small", 0.03, 0.6, wall_s=0.04, call_cpu_s=0.025),
)
TENANTS = [Tenant(name, (Ladder(name, "detect", RUNGS, 10.0),)) for name in ("a", "b", "c")]
QUIET = Reading()
CALM: Callable[[int], float] = lambda _: 1.0  # noqa: E731 - a default that reads like its overrides


@dataclass
class Bench:
    """Three stages whose calls cost what they were calibrated to, and some noise."""

    noise: float = 0.1
    seed: int = 1
    detectors: Detectors = field(default_factory=lambda: Detectors(TENANTS, Limits(4)))
    t: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def run(
        self,
        seconds: int,
        *,
        cpu: Callable[[int], float] = CALM,
        wall: Callable[[int], float] = CALM,
        reading: Reading | Callable[[int], Reading] = QUIET,
        rung: Callable[[int], int] = lambda _: 0,
        silent: bool = False,
    ) -> list[Findings]:
        seen = []
        for at in range(seconds):
            stages = {}
            for tenant in TENANTS:
                calibrated = RUNGS[rung(at)].call_cpu_s or 0.0
                cpu_s = calibrated * cpu(at) * (1 + self.random.uniform(-self.noise, self.noise))
                wall_s = cpu_s * 1.1 * wall(at)
                told = (None, None) if silent else (cpu_s, wall_s)
                stages[tenant.name, "detect"] = StageWork(
                    10.0, Setting(rung(at)), cpu_s=told[0], wall_s=told[1]
                )
            now = reading if isinstance(reading, Reading) else reading(at)
            seen.append(self.detectors.look(float(self.t), now, Work(1.0, stages)))
            self.t += 1
        return seen


def first(seen: list[Findings], name: str) -> int | None:
    return next((i for i, findings in enumerate(seen) if name in findings.named), None)


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    """An hour and a half at ten per cent of noise, on changing rungs."""
    seen = Bench().run(5400, rung=lambda t: t // 40 % 2)
    assert all(findings.named == () for findings in seen)
    assert all(0.85 < findings.inflation < 1.15 for findings in seen)
    assert all(findings.stretch < 1.2 for findings in seen)


@pytest.mark.parametrize("before_s", [3, 60, 2000])
def test_a_hidden_halving_of_the_clock_is_found_within_five_ticks(before_s: int) -> None:
    bench = Bench()
    bench.run(before_s)
    seen = bench.run(600, cpu=lambda _: 2.0, reading=Reading(clock_ratio=1.0, busy_cores=3.0))
    found = first(seen, "throttling")
    assert found is not None
    assert found < 5
    assert seen[10].inflation == pytest.approx(2.0, rel=0.1)
    assert all("throttling" in findings.named for findings in seen[5:])
    assert bench.run(30)[-1].named == ()


def test_a_lasting_slowdown_by_a_third_is_not_got_used_to() -> None:
    bench = Bench()
    bench.run(100)
    assert bench.run(4000, cpu=lambda _: 1.5)[-1].named == ("throttling",)


def test_a_clock_that_is_low_for_want_of_work_is_no_throttling() -> None:
    idle = Reading(clock_ratio=0.5, busy_cores=0.4)
    seen = Bench().run(60, cpu=lambda _: 2.0, reading=idle)
    assert first(seen, "throttling") is None
    assert seen[-1].inflation == pytest.approx(2.0, rel=0.1)


def test_one_stage_that_became_dear_is_not_a_slow_device() -> None:
    detectors = Detectors(TENANTS, Limits(4))
    for t in range(60):
        stages = {
            (name, "detect"): StageWork(10.0, Setting(0), cpu_s=cpu_s, wall_s=cpu_s * 1.1)
            for name, cpu_s in (("a", 0.4), ("b", 0.08), ("c", 0.08))
        }
        findings = detectors.look(float(t), Reading(), Work(1.0, stages))
    assert findings.named == ()


def test_a_single_dear_tick_is_no_news() -> None:
    bench = Bench()
    bench.run(60)
    assert first(bench.run(60, cpu=lambda t: 6.0 if t == 10 else 1.0), "throttling") is None


def test_neighbours_are_found_by_wall_time_alone() -> None:
    bench = Bench()
    bench.run(300)
    seen = bench.run(100, wall=lambda _: 2.0)
    found = first(seen, "contention")
    assert found is not None
    assert found <= 6
    assert seen[-1].stretch == pytest.approx(2.0, rel=0.15)
    assert first(seen, "throttling") is None
    assert bench.run(30)[-1].named == ()


def test_without_calls_what_was_measured_fades() -> None:
    bench = Bench()
    bench.run(60, cpu=lambda _: 2.0)
    seen = bench.run(400, silent=True)
    assert seen[5].measured
    assert not seen[-1].measured
    assert seen[-1].inflation == pytest.approx(1.0, abs=0.05)
    assert seen[-1].named == ()


def test_a_weak_supply_is_one_cut_however_often_it_flickers() -> None:
    """Five alarms a minute, for half an hour; then ten quiet minutes."""
    bench = Bench()
    flicker = bench.run(1800, reading=lambda t: Reading(undervoltage=t % 12 == 0))
    assert all(findings.undervoltage_held for findings in flicker)
    quiet = bench.run(700, reading=Reading(undervoltage=False))
    held = [findings.undervoltage_held for findings in quiet]
    assert held == sorted(held, reverse=True)
    assert sum(held) == pytest.approx(600, abs=15)
    assert "undervoltage" in flicker[0].named


def test_overcurrent_counts_by_what_is_new() -> None:
    bench = Bench()
    old = bench.run(5, reading=Reading(overcurrent_events=7))
    new = bench.run(5, reading=Reading(overcurrent_events=8))
    again = bench.run(100, reading=Reading(overcurrent_events=0))
    assert not any(findings.overcurrent_held for findings in old)
    assert all(findings.overcurrent_held for findings in new)
    assert not again[-1].overcurrent_held


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("pressure", Reading(cpu_pressure=0.8), Reading(cpu_pressure=0.1)),
        ("quota", Reading(quota_throttled=0.5), Reading(quota_throttled=0.0)),
        ("memory", Reading(memory_pressure=0.2), Reading(memory_pressure=0.01)),
        ("memory", Reading(memory_available_mb=20.0), Reading(memory_available_mb=500.0)),
        ("firmware", Reading(throttled=True), Reading(throttled=False)),
    ],
)
def test_what_the_kernel_says_is_named_and_forgotten(
    name: str, bad: Reading, good: Reading
) -> None:
    bench = Bench()
    seen = bench.run(10, reading=bad)
    assert seen[-1].named == (name,)
    assert seen[-1].memory_short == (name == "memory")
    assert bench.run(10, reading=good)[-1].named == ()


def test_memory_around_the_reserve_does_not_flap() -> None:
    around = Bench().run(100, reading=lambda t: Reading(memory_available_mb=63.0 + 3.0 * (t % 2)))
    states = [findings.memory_short for findings in around]
    assert states == [True] * 100


def test_numbers_that_are_none_are_no_findings() -> None:
    nan = float("nan")
    bad = Reading(cpu_pressure=nan, memory_pressure=nan, quota_throttled=nan, clock_ratio=nan)
    detectors = Detectors(TENANTS, Limits(4))
    stages = {
        ("a", "detect"): StageWork(nan, Setting(0), cpu_s=nan, wall_s=float("inf")),
        ("gone", "detect"): StageWork(1.0, Setting(7), cpu_s=1.0),
        ("b", "detect"): StageWork(1.0, Setting(99), cpu_s=1.0),
    }
    for t in range(20):
        findings = detectors.look(float(t), bad, Work(nan, stages))
        assert findings.named == ()
        assert findings.inflation == 1.0


def test_a_reload_keeps_what_is_known_of_stages_that_stay() -> None:
    bench = Bench()
    bench.run(60, cpu=lambda _: 2.0)
    bench.detectors.replace(TENANTS[:2])
    assert bench.run(1, cpu=lambda _: 2.0)[0].inflation == pytest.approx(2.0, rel=0.1)
