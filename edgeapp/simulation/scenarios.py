"""The worlds that the governor is tried in. A seed changes weather, bursts, noise and the board."""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from edgeapp.simulation.spec import (
    Expect,
    Fault,
    Inputs,
    Node,
    PlantSpec,
    Power,
    Scenario,
    SensorSpec,
    Table,
)
from edgeapp.watchdog.ladder import Ladder, Rung, Tenant
from edgeapp.watchdog.limits import Limits, Prior

TUNING_SEEDS = (1, 2, 3, 4, 5)
"""For choosing constants of the governor and of the ladder that it is compared with."""
REPORTING_SEEDS = (101, 102, 103, 104, 105)
"""For what is reported; nothing is chosen by looking at them."""

HOUR_S = 3600.0
DURATION_S = 3 * HOUR_S
QUIET_CORES = 0.12
"""What an idle system does."""

PI4_PRIOR = Prior("raspberry-pi-4")
PI5_PRIOR = Prior(
    "raspberry-pi-5-passive",
    idle_k=24.0,
    board_k_per_core=10.0,
    board_tau_s=420.0,
    die_k_per_core=1.9,
    idle_w=3.3,
    core_w=1.6,
)

_SHARES = (1.0, 0.55, 0.3, 0.15)
HEAT_EXPECT = Expect(
    ratio_min=0.95, avoidable_over_s_max=0.0, model_swaps_per_h_max=40.0, miss_max=1e-3
)


def pi4(rng: random.Random, start_c: float) -> PlantSpec:
    """A bare Raspberry Pi 4, three nodes, each board a little different."""
    return _board(
        rng,
        (("die", 2.3, 6.0), ("board", 4.3, 75.0), ("case", 4.9, 220.0)),
        Power(2.1, 1.07, 4, 0.006),
        start_c,
    )


def pi5(rng: random.Random, start_c: float) -> PlantSpec:
    """A Raspberry Pi 5 with a passive heat sink."""
    return _board(
        rng,
        (("die", 1.1, 5.0), ("board", 2.4, 110.0), ("case", 3.4, 330.0)),
        Power(3.3, 1.6, 4, 0.008),
        start_c,
    )


def tenants() -> tuple[Tenant, ...]:
    """A camera, a vibration sensor that is critical, and a microphone."""
    return (
        tenant("camera", 5.0, 0.165, (1.0, 0.95, 0.88, 0.78), deadline_s=0.42),
        tenant(
            "vibration",
            2.0,
            0.37,
            (1.0, 0.96, 0.9, 0.8),
            deadline_s=0.8,
            divisors=(1, 2),
            critical=True,
        ),
        tenant("audio", 4.0, 0.2, (1.0, 0.94, 0.85, 0.74), deadline_s=0.48, weight=0.8),
    )


def soc_sensor(*faults: Fault, noise_c: float = 0.35) -> SensorSpec:
    """The sensor of the chip itself."""
    return SensorSpec(
        "class/thermal/thermal_zone0/temp",
        "cpu-thermal",
        "die",
        noise_c=noise_c,
        faults=tuple(faults),
    )


def bursts(
    rng: random.Random, every_s: float, length_s: tuple[float, float], cores: float
) -> Table:
    """Load of others: one burst in each period, beginning in its first third."""
    return tuple(_bursts(rng, every_s, length_s, cores))


def _bursts(
    rng: random.Random, every_s: float, length_s: tuple[float, float], cores: float
) -> Iterator[tuple[float, float]]:
    yield 0.0, QUIET_CORES
    for period in range(int(DURATION_S / every_s)):
        length = rng.uniform(*length_s)
        start = period * every_s + rng.uniform(0.0, min(every_s / 3.0, every_s - length - 1.0))
        yield float(round(start)) + 1.0, cores + QUIET_CORES
        yield float(round(start + length)) + 1.0, QUIET_CORES


def _board(
    rng: random.Random, chain: tuple[tuple[str, float, float], ...], power: Power, start_c: float
) -> PlantSpec:
    names = [name for name, _, _ in chain[1:]] + ["ambient"]
    nodes = tuple(
        Node(name, r * rng.uniform(0.95, 1.05), tau * rng.uniform(0.9, 1.1), to)
        for (name, r, tau), to in zip(chain, names, strict=True)
    )
    return PlantSpec(nodes, power, start_c=start_c)


def tenant(
    name: str,
    rate_hz: float,
    cpu_s: float,
    accuracy: tuple[float, ...],
    *,
    deadline_s: float,
    divisors: tuple[int, ...] = (1, 2, 4),
    shares: tuple[float, ...] = _SHARES,
    weight: float = 1.0,
    critical: bool = False,
) -> Tenant:
    """A pipeline with one model; `shares`: CPU time of its rungs, of the first's."""
    rungs = tuple(
        Rung(f"{name}-{place}", cpu_s * share, good, cpu_s * share * 1.2, 80.0 * share)
        for place, (share, good) in enumerate(zip(shares, accuracy, strict=True))
    )
    ladder = Ladder(name, "model", rungs, rate_hz, divisors, deadline_s)
    return Tenant(name, (ladder,), weight, critical, 0.01)


def world(
    name: str,
    seed: int,
    plant: PlantSpec,
    inputs: Inputs,
    *,
    expect: Expect = HEAT_EXPECT,
    prior: Prior = PI4_PRIOR,
) -> Scenario:
    """A scenario with the usual pipelines and the one sensor of the chip."""
    return Scenario(
        name,
        seed,
        plant,
        inputs,
        tenants(),
        Limits(plant.power.cores),
        prior,
        (soc_sensor(),),
        DURATION_S,
        expect,
    )


def cool_idle(seed: int) -> Scenario:
    """5 °C outside: all at their best, nothing moves."""
    rng = rng_of("cool_idle", seed)
    inputs = Inputs(((0.0, 5.0),), ((0.0, QUIET_CORES),))
    expect = Expect(ratio_min=0.999, avoidable_over_s_max=0, model_swaps_per_h_max=0, miss_max=1e-3)
    return world("cool_idle", seed, pi4(rng, 40.0), inputs, expect=expect)


def room_25(seed: int) -> Scenario:
    """A room, and a neighbour with one core for 10-60 s each quarter of an hour."""
    rng = rng_of("room_25", seed)
    inputs = Inputs(((0.0, 25.0),), bursts(rng, 900.0, (10.0, 60.0), 1.0))
    return world("room_25", seed, pi4(rng, 54.0), inputs)


def ambient_step(seed: int) -> Scenario:
    """A door: 25 to 38 °C after 40 minutes and back after two hours."""
    rng = rng_of("ambient_step", seed)
    inputs = Inputs(((0.0, 25.0), (2400.0, 38.0), (7200.0, 25.0)), ((0.0, QUIET_CORES),))
    return world("ambient_step", seed, pi4(rng, 54.0), inputs)


def summer_ramp(seed: int) -> Scenario:
    """A hot afternoon: 24 °C and 16 more at its height, and the sun on the case for 33 minutes."""
    rng = rng_of("summer_ramp", seed)
    plant = pi4(rng, 52.0)
    ambient = tuple(
        (float(t), 24.0 + 16.0 * math.sin(math.pi * t / DURATION_S))
        for t in range(0, int(DURATION_S) + 1, 60)
    )
    sun_w = 5.0 / plant.nodes[-1].r_k_per_w
    shines = 4500.0 + rng.uniform(0.0, 900.0)
    fades = shines + 1980.0
    sun = ((0.0, 0.0), (shines, 0.0), (shines + 60.0, sun_w), (fades - 60.0, sun_w), (fades, 0.0))
    inputs = Inputs(ambient, ((0.0, QUIET_CORES),), sun_w=sun, interpolate="linear")
    return world("summer_ramp", seed, plant, inputs)


def burst_storm(seed: int) -> Scenario:
    """25 °C, and a neighbour with two cores for 20-120 s every three minutes."""
    rng = rng_of("burst_storm", seed)
    inputs = Inputs(((0.0, 25.0),), bursts(rng, 180.0, (20.0, 120.0), 2.0))
    expect = replace(HEAT_EXPECT, avoidable_over_s_max=10.0)
    return world("burst_storm", seed, pi4(rng, 60.0), inputs, expect=expect)


def fan_failure(seed: int) -> Scenario:
    """A fan stops after an hour."""
    rng = rng_of("fan_failure", seed)
    fails = 3600.0 + rng.uniform(-300.0, 300.0)
    inputs = Inputs(
        ((0.0, 28.0),), bursts(rng, 900.0, (10.0, 60.0), 1.0), r_factor=((0.0, 1.0), (fails, 1.9))
    )
    return world("fan_failure", seed, pi5(rng, 55.0), inputs, prior=PI5_PRIOR)


def hot_box_boot(seed: int) -> Scenario:
    """A box in the sun, 40 °C; the board starts at 79 °C."""
    rng = rng_of("hot_box_boot", seed)
    inputs = Inputs(((0.0, 40.0),), bursts(rng, 900.0, (10.0, 60.0), 1.0))
    return world("hot_box_boot", seed, pi4(rng, 79.0), inputs)


def pi5_cabinet(seed: int) -> Scenario:
    """A cabinet whose air swings by 7 K around 38 °C, with bursts of a core and a half."""
    rng = rng_of("pi5_cabinet", seed)
    phase = rng.uniform(0.0, 2.0 * math.pi)
    ambient = tuple(
        (float(t), 38.0 + 7.0 * math.sin(phase + 2.0 * math.pi * t / 5400.0))
        for t in range(0, int(DURATION_S) + 1, 60)
    )
    inputs = Inputs(ambient, bursts(rng, 600.0, (20.0, 90.0), 1.5), interpolate="linear")
    return world("pi5_cabinet", seed, pi5(rng, 60.0), inputs, prior=PI5_PRIOR)


def rng_of(name: str, seed: int) -> random.Random:
    """Chance of one scenario and seed."""
    return random.Random(f"{name}/{seed}")  # noqa: S311 - a simulation


HEAT: Mapping[str, Callable[[int], Scenario]] = {
    one.__name__: one
    for one in (
        room_25,
        ambient_step,
        summer_ramp,
        burst_storm,
        fan_failure,
        hot_box_boot,
        pi5_cabinet,
    )
}
"""The seven that utility is compared on."""
