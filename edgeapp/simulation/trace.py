"""The file `edgeapp-thermal/1`: a device to be simulated, or what a device was like.

With a `plant` it is a world that answers what is done in it (closed loop). With `samples` alone it is
a recording: the governor sees what was measured, and nothing changes by what it would have done. One
schema for both; docs/watchdog.md describes every key.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeapp.core.whole_file import write_whole
from edgeapp.simulation.checked import Problems, Table, TraceError, read_json
from edgeapp.simulation.spec import Expect, Inputs, PlantSpec, Scenario, SensorSpec
from edgeapp.simulation.trace_app import expect_of, limits_of, prior_of, tenants_of
from edgeapp.simulation.trace_device import inputs_of, plant_of, sensors_of, static_files_of
from edgeapp.simulation.trace_samples import Samples, samples_of
from edgeapp.watchdog.ladder import Tenant
from edgeapp.watchdog.limits import Limits, Prior

__all__ = ["FORMAT", "Samples", "Trace", "TraceError", "read_trace", "trace_of", "write_trace"]

FORMAT = "edgeapp-thermal/1"
TICK_S = 1.0
"""Between two steps of a governor, and of a plant."""
LONGEST_S = 7 * 86_400.0

_MOST_BYTES = 64 << 20
_NO_INPUTS = Inputs()
_NO_EXPECT = Expect()


@dataclass(frozen=True, slots=True)
class Trace:
    """What such a file says. Exactly one of `plant` and `samples` is there."""

    name: str
    plant: PlantSpec | None = None
    samples: Samples | None = None
    seed: int = 0
    tick_s: float = TICK_S
    """Of a recording, the time between two samples."""
    duration_s: float = 0.0
    inputs: Inputs = _NO_INPUTS
    sensors: tuple[SensorSpec, ...] = ()
    static_files: Mapping[str, str] = field(default_factory=dict)
    """Path below the root of sysfs -> what the file holds all the time."""
    limits: Limits | None = None
    prior: Prior | None = None
    tenants: tuple[Tenant, ...] = ()
    """What runs on the device; empty: whatever the reader puts there."""
    expect: Expect = _NO_EXPECT

    @property
    def closed(self) -> bool:
        """Whether what is done changes what is measured."""
        return self.plant is not None


def read_trace(path: Path) -> Trace:
    """Read such a file.

    Raises:
        TraceError: it cannot be used; every mistake that was found, with its place.
    """
    problems = Problems(str(path))
    trace = _checked(problems, read_json(path, most_bytes=_MOST_BYTES))
    problems.end()
    return trace


def _checked(problems: Problems, value: object) -> Trace:
    with Table(problems, "", value) as top:
        top.text("format", among=(FORMAT,))
        tick_s = top.number("tick_s", TICK_S, low=0.1, high=60)
        samples = samples_of(top, tick_s) if top.has("samples") else None
        plant = plant_of(top.table("plant")) if top.has("plant") else None
        if plant is not None and samples is not None and not samples.rows:
            samples = None  # a recording that was not made says nothing
        if (plant is None) == (samples is None) and isinstance(value, dict):
            both = "give `plant` to simulate a device, or `samples` to replay a recording"
            held = (
                "holds a `plant` and `samples`" if plant else "holds neither `plant` nor `samples`"
            )
            problems.add("", held, both)
        if plant is not None and tick_s != TICK_S and top.raw("tick_s") == tick_s:
            problems.add("tick_s", f"is {tick_s:g}", "a plant is simulated in steps of 1 s: give 1")
        if samples is not None and not samples.rows and not problems.count:
            problems.add("samples.rows", "is empty", "record for a while")
        cores = plant.power.cores if plant is not None else None
        trip_c = plant.throttle.on_c if plant is not None else None
        return Trace(
            name=top.text("name", longest=64),
            plant=plant,
            samples=samples,
            seed=top.whole("seed", 0),
            tick_s=tick_s,
            duration_s=_duration_s(top, samples),
            inputs=inputs_of(top.table("inputs")),
            sensors=sensors_of(top, plant, samples),
            static_files=static_files_of(top),
            limits=limits_of(top.table("limits"), cores, trip_c) if top.has("limits") else None,
            prior=prior_of(top.table("prior")) if top.has("prior") else None,
            tenants=tenants_of(top),
            expect=expect_of(top.table("expect")),
        )


def _duration_s(top: Table, samples: Samples | None) -> float:
    if samples is None:
        return top.number("duration_s", low=10, high=LONGEST_S)
    if len(samples.rows) <= 1:  # which is complained about
        top.has("duration_s")
        return 0.0
    recorded_s = samples.t_s[-1]
    given_s = top.number("duration_s", recorded_s, low=0, high=LONGEST_S, above=True)
    if given_s > recorded_s + 1:
        there = f"is {given_s:g}, but the last sample is of {recorded_s:g} s"
        top.problems.add("duration_s", there, "leave it out")
    return min(given_s, recorded_s)


def write_trace(path: Path, trace: Trace) -> None:
    """Write such a file, whole or not at all.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    facts = _facts(trace)
    rows = facts["samples"]["rows"] if "samples" in facts else None
    if rows:
        facts["samples"]["rows"] = []
    text = json.dumps(facts, indent=1, allow_nan=False)
    if rows:  # a sample a line: readable, and a third of the size
        lines = ",\n   ".join(json.dumps(row, allow_nan=False) for row in rows)
        text = text.replace('"rows": []', f'"rows": [\n   {lines}\n  ]', 1)
    write_whole(path, text.encode() + b"\n")


def _facts(trace: Trace) -> dict[str, Any]:
    asdict = dataclasses.asdict
    samples = trace.samples
    facts = {
        "plant": _told(asdict(trace.plant)) if trace.plant is not None else None,
        "inputs": _told(asdict(trace.inputs)) if trace.plant is not None else None,
        "sensors": [_sensor_facts(sensor) for sensor in trace.sensors],
        "static_files": dict(trace.static_files),
        "limits": _told(asdict(trace.limits)) if trace.limits is not None else None,
        "prior": asdict(trace.prior) if trace.prior is not None else None,
        "tenants": [_tenant_facts(tenant) for tenant in trace.tenants],
        "expect": {k: v for k, v in _told(asdict(trace.expect)).items() if v != {}},
        "samples": {"columns": samples.columns, "rows": samples.rows} if samples else None,
    }
    return {
        "format": FORMAT,
        "name": trace.name,
        "seed": trace.seed,
        "tick_s": trace.tick_s,
        "duration_s": trace.duration_s,
        **{key: value for key, value in facts.items() if value},
    }


def _sensor_facts(sensor: SensorSpec) -> dict[str, Any]:
    facts = dataclasses.asdict(sensor)
    facts["faults"] = [
        {"from": fault.from_s, "to": fault.to_s, "kind": fault.kind, "value": fault.value}
        for fault in sensor.faults
    ]
    return facts


def _tenant_facts(tenant: Tenant) -> dict[str, Any]:
    facts = dataclasses.asdict(tenant)
    for ladder in facts["ladders"]:
        del ladder["pipeline"]  # it is the tenant's name
    return facts


def _told(facts: dict[str, Any]) -> dict[str, Any]:
    """Without what is None: a key that is not there says the same."""
    return {key: value for key, value in facts.items() if value is not None}


def trace_of(scenario: Scenario) -> Trace:
    """A built-in scenario as what a file would say of it."""
    return Trace(
        name=scenario.name,
        plant=scenario.plant,
        seed=scenario.seed,
        duration_s=scenario.duration_s,
        inputs=scenario.inputs,
        sensors=scenario.sensors,
        limits=scenario.limits,
        prior=scenario.prior,
        tenants=scenario.tenants,
        expect=scenario.expect,
    )
