"""The device in a trace: plant, what happens to it, sensors and files that never change."""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import get_args

from edgeapp.simulation.checked import Problems, Table, number, shown
from edgeapp.simulation.spec import (
    Fault,
    FaultKind,
    Inputs,
    Node,
    PlantSpec,
    Power,
    SensorSpec,
    Signal,
    Throttle,
)
from edgeapp.simulation.trace_samples import Samples

AMBIENT = "ambient"

_PATH = re.compile(r"[\w:+,@-][\w.:+,@-]*(/[\w:+,@-][\w.:+,@ -]*)*", re.ASCII)
_LONGEST_PATH = 200
_LONGEST_FILE = 4096
_MOST_NODES = 8
_MOST_SENSORS = 64
_MOST_PAIRS = 100_000
_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
_SIGNALS: tuple[Signal, ...] = get_args(Signal)
_COLDEST_C, _HOTTEST_C = -80.0, 200.0
_POWER = Power(0.0, 0.0, 1)
_THROTTLE = Throttle()
_PLANT = PlantSpec((), _POWER)
_INPUTS = Inputs()
_SENSOR = SensorSpec("", "", "")
_RANGES: Mapping[str, tuple[float, float]] = {
    "ambient_c": (-60, 100),
    "foreign_cores": (0, 4096),
    "on_ac": (0, 1),
    "r_factor": (0.01, 100),
    "sun_w": (-1000, 1000),
    "clock_cap": (0.05, 1),
    "undervoltage": (0, 1),
    "memory_available_mb": (0, 1e7),
    "memory_pressure": (0, 1),
}
_FREEZING = {"freeze", "missing", "eio"}
"""Kinds of faults that need no value."""


def path_problem(path: str) -> str:
    """Why this is no path below the root of sysfs; empty: it is one."""
    if len(path) > _LONGEST_PATH:
        return "is too long"
    if not _PATH.fullmatch(path):
        return "is no path below the root of sysfs"
    return ""


def plant_of(table: Table) -> PlantSpec:
    """The `plant`."""
    with table:
        nodes = _nodes(table)
        power = _power(table.table("power"))
        gain = power.leak_w_per_k * sum(node.r_k_per_w for node in nodes)
        if gain >= 1:
            hotter = f"is {power.leak_w_per_k:g}, with which the device heats itself without end"
            table.problems.add(
                f"{table.where}.power.leak_w_per_k",
                hotter,
                "times the sum of all r_k_per_w it must be below 1",
            )
        return PlantSpec(
            nodes=nodes,
            power=power,
            throttle=_throttle(table.table("throttle")),
            start_c=table.number("start_c", _PLANT.start_c, low=_COLDEST_C, high=_HOTTEST_C),
            battery_wh=table.maybe("battery_wh", low=0, high=1e6, above=True),
            battery_level=table.number("battery_level", _PLANT.battery_level, low=0, high=1),
            tells=_tells(table),
            clock_lies=table.flag("clock_lies", default=_PLANT.clock_lies),
        )


def _tells(table: Table) -> tuple[Signal, ...]:
    if not table.has("tells"):
        return _PLANT.tells
    given = table.items("tells", most=len(_SIGNALS))
    known = tuple(signal for one in given for signal in _SIGNALS if one == signal)
    if len(known) < len(given) or len(set(known)) < len(known):
        remedy = f"list each once of {', '.join(_SIGNALS)}"
        table.problems.add(table.path("tells"), "lists what no device tells, or twice", remedy)
    return known


def _nodes(table: Table) -> tuple[Node, ...]:
    nodes: list[Node] = []
    where = table.path("nodes")
    for position, value in enumerate(table.items("nodes", most=_MOST_NODES)):
        with Table(table.problems, f"{where}[{position}]", value) as one:
            node = Node(
                id=one.text("id", longest=40),
                r_k_per_w=one.number("r_k_per_w", low=0, high=1000, above=True),
                tau_s=one.number("tau_s", low=0.5, high=1e6),
                to=one.text("to", longest=40),
            )
            if node.id == AMBIENT or node.id in {other.id for other in nodes}:
                one.problems.add(one.path("id"), f"'{node.id}' is taken", "give it another name")
            nodes.append(node)
    if isinstance(table.raw("nodes"), list):
        _check_ways(table.problems, where, nodes)
    return tuple(nodes)


def _check_ways(problems: Problems, where: str, nodes: list[Node]) -> None:
    """Heat must get out: from each node a way leads to the surroundings, from the last a direct one."""
    if not nodes:
        problems.add(where, "is empty", "give at least the die, with `to` leading to 'ambient'")
        return
    to = {node.id: node.to for node in nodes}
    told: set[str] = set()
    for position, node in enumerate(nodes):
        if node.to != AMBIENT and node.to not in to:
            near = f"name another node or '{AMBIENT}'"
            problems.add(f"{where}[{position}].to", f"'{node.to}' is no node", near)
            continue
        way = [node.id]
        while way[-1] in to and to[way[-1]] not in way:
            way.append(to[way[-1]])
        if way[-1] in to and to[way[-1]] in way and not told & set(way):
            told |= set(way)
            circle = " -> ".join([*way, to[way[-1]]])
            remedy = f"let one of them lead to '{AMBIENT}'"
            problems.add(f"{where}[{position}].to", f"leads in a circle: {circle}", remedy)
    if nodes[-1].to not in {AMBIENT, *told} and nodes[-1].to in to:
        last = f"{where}[{len(nodes) - 1}].to"
        remedy = f"list the nodes from the die outwards, the last with `to` '{AMBIENT}'"
        problems.add(last, f"is '{nodes[-1].to}'", remedy)


def _power(table: Table) -> Power:
    with table:
        return Power(
            idle_w=table.number("idle_w", low=0, high=1000),
            core_w=table.number("core_w", low=0, high=1000),
            cores=table.whole("cores", low=1, high=256),
            leak_w_per_k=table.number("leak_w_per_k", _POWER.leak_w_per_k, low=0, high=10),
            freq_exp=table.number("freq_exp", _POWER.freq_exp, low=0, high=5),
        )


def _throttle(table: Table) -> Throttle:
    with table:
        steps = _THROTTLE.steps
        if table.has("steps"):
            where = table.path("steps")
            given = table.items("steps", most=32)
            steps = tuple(
                number(table.problems, f"{where}[{position}]", value, low=0.01, high=1)
                for position, value in enumerate(given)
            )
            falling = all(a > b for a, b in pairwise(steps))
            if isinstance(table.raw("steps"), list) and (steps[:1] != (1,) or not falling):
                table.problems.add(where, "are no falling steps from 1 on", "as in [1, 0.667, 0.5]")
        found = Throttle(
            on_c=table.number("on_c", _THROTTLE.on_c, low=0, high=150),
            hard_c=table.number("hard_c", _THROTTLE.hard_c, low=0, high=_HOTTEST_C),
            hyst_c=table.number("hyst_c", _THROTTLE.hyst_c, low=0, high=50),
            steps=steps,
        )
        if found.hard_c < found.on_c:
            lower = f"is {found.hard_c:g}, below `on_c`, {found.on_c:g}"
            table.problems.add(table.path("hard_c"), lower, "give at least as much")
        return found


def inputs_of(table: Table) -> Inputs:
    """The `inputs`: pairs of time and value for each."""
    tables = {}
    with table:
        for key, (low, high) in _RANGES.items():
            if table.has(key):
                tables[key] = _pairs(table, key, low, high)
        interpolate = table.text("interpolate", _INPUTS.interpolate, among=("step", "linear"))
        linear = interpolate == "linear"
        return Inputs(**tables, interpolate="linear" if linear else "step")


def _pairs(table: Table, key: str, low: float, high: float) -> tuple[tuple[float, float], ...]:
    where = table.path(key)
    pairs: list[tuple[float, float]] = []
    for position, pair in enumerate(table.items(key, most=_MOST_PAIRS)):
        here = f"{where}[{position}]"
        if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004 - a pair
            table.problems.add(here, f"is {shown(pair)}", "write [seconds, value]")
            continue
        t_s = number(table.problems, f"{here}[0]", pair[0], low=0)
        if pairs and t_s <= pairs[-1][0]:
            earlier = f"is {t_s:g}, not after {pairs[-1][0]:g}"
            table.problems.add(f"{here}[0]", earlier, "sort the pairs by time, each time once")
        pairs.append((t_s, number(table.problems, f"{here}[1]", pair[1], low=low, high=high)))
    if not pairs and isinstance(table.raw(key), list):
        table.problems.add(where, "is empty", "give at least one pair, as in [[0, 25]]")
    return tuple(pairs)


def sensors_of(
    top: Table, plant: PlantSpec | None, samples: Samples | None
) -> tuple[SensorSpec, ...]:
    """The `sensors`: of a node of the plant, or of a column of the recording."""
    sensors: list[SensorSpec] = []
    for position, value in enumerate(top.items("sensors", required=False, most=_MOST_SENSORS)):
        with Table(top.problems, f"sensors[{position}]", value) as table:
            sensor = _sensor(table, plant)
            where = table.path("path")
            if wrong := path_problem(sensor.path):
                remedy = "as in class/thermal/thermal_zone0/temp"
                top.problems.add(where, f"{shown(sensor.path)} {wrong}", remedy)
            if sensor.path in {other.path for other in sensors}:
                top.problems.add(where, f"'{sensor.path}' is given twice", "leave one of them out")
            if samples is not None and sensor.path not in samples.columns:
                remedy = "name a column of the samples"
                top.problems.add(where, f"'{sensor.path}' was not recorded", remedy)
            sensors.append(sensor)
    return tuple(sensors)


def _sensor(table: Table, plant: PlantSpec | None) -> SensorSpec:
    nodes = [node.id for node in plant.nodes] if plant is not None else []
    where = table.path("faults")
    return SensorSpec(
        path=table.text("path", longest=_LONGEST_PATH),
        type=table.text("type", longest=64),
        node=table.text("node", None if nodes else "die", among=nodes),
        unit="C" if table.text("unit", _SENSOR.unit, among=("mC", "C")) == "C" else "mC",
        lsb_c=table.number("lsb_c", _SENSOR.lsb_c, low=0.001, high=50),
        noise_c=table.number("noise_c", _SENSOR.noise_c, low=0, high=50),
        faults=tuple(
            _fault(Table(table.problems, f"{where}[{position}]", value))
            for position, value in enumerate(table.items("faults", required=False, most=1000))
        ),
    )


def _fault(table: Table) -> Fault:
    with table:
        name = table.text("kind", among=_KINDS)
        kind: FaultKind = next((one for one in _KINDS if one == name), "freeze")
        low, high = (0.0, 1.0) if kind == "eio" else (-1000.0, 1000.0)
        default = {"eio": 1.0}.get(kind, 0.0) if kind in _FREEZING else None
        fault = Fault(
            from_s=table.number("from", low=0),
            to_s=table.number("to", low=0),
            kind=kind,
            value=table.number("value", default, low=low, high=high),
        )
        if fault.to_s <= fault.from_s:
            earlier = f"is {fault.to_s:g}, not after `from`, {fault.from_s:g}"
            table.problems.add(table.path("to"), earlier, "give the second at which it ends")
        return fault


def static_files_of(top: Table) -> dict[str, str]:
    """The `static_files`: what lies in sysfs and never changes."""
    files: dict[str, str] = {}
    with top.table("static_files") as table:
        for path in table.keys():  # noqa: SIM118 - no mapping: asking for the keys allows them all
            content = table.raw(path)
            if wrong := path_problem(path):
                remedy = "as in class/thermal/thermal_zone0/type"
                table.problems.add(table.path(path), wrong, remedy)
            elif not isinstance(content, str) or len(content) > _LONGEST_FILE:
                remedy = f"write the text of the file, at most {_LONGEST_FILE:,} characters"
                table.problems.add(table.path(path), f"is {shown(content)}", remedy)
            else:
                files[path] = content.encode(errors="replace").decode()
    return files
