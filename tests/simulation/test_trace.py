"""Traces: what is written is read; every mistake is said, with its place and what to do."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgeapp.simulation.checked import TraceError
from edgeapp.simulation.spec import Expect, Fault, Inputs
from edgeapp.simulation.trace import Trace, read_trace, trace_of, write_trace
from edgeapp.simulation.trace_samples import Samples
from edgeapp.simulation.trials import SCENARIOS
from edgeapp.watchdog.limits import BatteryGoal, Limits
from tests.simulation.traces import PLANT, RECORDING, SENSOR, plant, recording, written


def complaints(folder: Path, facts: object) -> list[str]:
    """What is said of a wrong trace, without the file's name, which stands before each."""
    file = written(folder, facts)
    with pytest.raises(TraceError) as caught:
        read_trace(file)
    assert all(line.startswith(f"{file}: ") for line in caught.value.problems)
    return [line.removeprefix(f"{file}: ") for line in caught.value.problems]


# -- what is right --------------------------------------------------------------------------


def test_a_device_is_read(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, PLANT))
    assert trace.closed
    assert trace.plant is not None
    assert [node.to for node in trace.plant.nodes] == ["board", "ambient"]
    assert trace.inputs.at("ambient_c", 59.9) == 25
    assert trace.inputs.at("ambient_c", 60) == 38
    assert trace.sensors[0].faults == (Fault(30, 60, "const", -89.7),)
    assert trace.expect == Expect(avoidable_over_s_max=0, miss_max=0.5)


def test_a_recording_is_read(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, RECORDING))
    assert not trace.closed
    assert trace.samples is not None
    assert trace.duration_s == 4
    assert trace.samples.at(3.9) == trace.samples.at(2.5)
    assert trace.samples.at(2.5)[SENSOR] is None
    assert trace.samples.column("own_cpu") == [0.5, 0.5, None, 0.6]


def test_samples_without_rows_beside_a_plant_say_nothing(tmp_path: Path) -> None:
    empty = {"columns": ["t", "own_cpu"], "rows": []}
    assert read_trace(written(tmp_path, plant(samples=empty))).closed


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_built_in_scenario_can_be_written_and_is_read_as_it_was(
    name: str, tmp_path: Path
) -> None:
    trace = trace_of(SCENARIOS[name](3))
    write_trace(tmp_path / "trace.json", trace)
    assert read_trace(tmp_path / "trace.json") == trace


def test_every_field_is_written_and_read(tmp_path: Path) -> None:
    """Also those that no built-in scenario uses."""
    made = trace_of(SCENARIOS["burst_storm"](3))
    assert made.plant is not None
    [sensor] = made.sensors
    whole = dataclasses.replace(
        made,
        plant=dataclasses.replace(
            made.plant,
            battery_wh=20.0,
            battery_level=0.5,
            tells=("clock", "power"),
            clock_lies=True,
        ),
        inputs=Inputs(on_ac=((0.0, 1.0), (9.0, 0.0)), sun_w=((0.0, 2.0),), interpolate="linear"),
        sensors=(
            dataclasses.replace(
                sensor,
                unit="C",
                faults=tuple(
                    Fault(k, k + 1, kind, 0.5)  # type: ignore[arg-type]  # one of them
                    for k, kind in enumerate(
                        ("freeze", "missing", "eio", "const", "offset", "noise")
                    )
                ),
            ),
        ),
        static_files={"class/hwmon/hwmon0/name": "clock\n"},
        limits=Limits(
            4, 75.0, 2.0, 0.8, 1.5, 6.0, BatteryGoal(3600.0, 0.1, 18.0), 100.0, swaps_per_h=9.0
        ),
        expect=Expect(
            0.9, 0.5, 1.0, 2.0, 3.0, 0.01, 30.0, {"heat": (1.0, 5.0)}, 4, (1.0, 2.0), (3.0, 4.0)
        ),
    )
    for part, kind in ((whole.limits, Limits), (whole.expect, Expect)):
        assert all(getattr(part, each.name) is not None for each in dataclasses.fields(kind))
    write_trace(tmp_path / "trace.json", whole)
    assert read_trace(tmp_path / "trace.json") == whole


def test_a_recording_is_written_a_sample_a_line(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, RECORDING))
    write_trace(tmp_path / "again.json", trace)
    assert read_trace(tmp_path / "again.json") == trace
    text = (tmp_path / "again.json").read_text()
    assert '[1, 48687, "Full", 0.5, 1.1],\n' in text
    assert [file.name for file in tmp_path.iterdir() if ".tmp" in file.name] == []


def test_what_never_changes_may_look_like_rows(tmp_path: Path) -> None:
    trace = Trace("odd", samples=Samples(("t", "own_cpu"), ((0, 1), (1, 1))), duration_s=1)
    odd = dataclasses.replace(trace, static_files={"class/odd/name": '"rows": []'})
    write_trace(tmp_path / "trace.json", odd)
    assert read_trace(tmp_path / "trace.json") == odd


# -- what is wrong --------------------------------------------------------------------------


def nodes(*ways: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"id": id_, "r_k_per_w": 2, "tau_s": 6, "to": to} for id_, to in ways]


def with_plant(**changes: Any) -> dict[str, Any]:
    return plant(plant=PLANT["plant"] | changes)


def with_sensor(**changes: Any) -> dict[str, Any]:
    return plant(sensors=[PLANT["sensors"][0] | changes])


def with_fault(**changes: Any) -> dict[str, Any]:
    return with_sensor(faults=[{"from": 3, "to": 6, "kind": "freeze"} | changes])


def with_rows(*rows: list[Any]) -> dict[str, Any]:
    return recording(samples={"columns": ["t", "own_cpu", SENSOR], "rows": list(rows)})


def with_columns(*columns: Any) -> dict[str, Any]:
    return recording(samples={"columns": list(columns), "rows": []})


WRONG: dict[str, tuple[object, str]] = {
    "no object": ([1], "is a list of 1; write an object"),
    "format": (plant(format="edgeapp-thermal/2"), "format: is 'edgeapp-thermal/2'; did you mean"),
    "no format": (plant(format=None), "format: is missing; write one of edgeapp-thermal/1"),
    "near miss": (plant(sead=3), "sead: is no such key; did you mean 'seed'?"),
    "no name": (plant(name=""), "name: is ''; write 1 to 64 characters"),
    "neither": (plant(plant=None), "holds neither `plant` nor `samples`; give `plant`"),
    "both": (plant(samples=RECORDING["samples"]), "holds a `plant` and `samples`; give `plant`"),
    "tick of a plant": (plant(tick_s=2), "tick_s: is 2; a plant is simulated in steps of 1 s"),
    "endless": (plant(duration_s=1e9), "duration_s: is 1000000000.0; give a number from 10 to"),
    "no duration": (plant(duration_s=None), "duration_s: is missing; give a number from 10"),
    "nodes in a circle": (
        with_plant(nodes=nodes(("die", "board"), ("board", "die"))),
        "plant.nodes[0].to: leads in a circle: die -> board -> die; let one of them",
    ),
    "node to itself": (with_plant(nodes=nodes(("die", "die"))), "circle: die -> die"),
    "node to nowhere": (
        with_plant(nodes=nodes(("die", "bord"), ("board", "ambient"))),
        "plant.nodes[0].to: 'bord' is no node; name another node or 'ambient'",
    ),
    "outer node not last": (
        with_plant(nodes=nodes(("board", "ambient"), ("die", "board"))),
        "plant.nodes[1].to: is 'board'; list the nodes from the die outwards",
    ),
    "no nodes": (with_plant(nodes=[]), "plant.nodes: is empty; give at least the die"),
    "node twice": (
        with_plant(nodes=nodes(("die", "ambient"), ("die", "ambient"))),
        "plant.nodes[1].id: 'die' is taken; give it another name",
    ),
    "heats itself": (
        with_plant(power={"idle_w": 2, "core_w": 1, "cores": 4, "leak_w_per_k": 0.5}),
        "plant.power.leak_w_per_k: is 0.5, with which the device heats itself without end",
    ),
    "cores": (
        with_plant(power={"idle_w": 2, "core_w": 1, "cores": 2.5}),
        "plant.power.cores: is 2.5; give a whole number from 1 to 256",
    ),
    "steps": (
        with_plant(throttle={"steps": [1, 0.5, 0.7]}),
        "plant.throttle.steps: are no falling steps from 1 on; as in [1, 0.667, 0.5]",
    ),
    "hard below on": (
        with_plant(throttle={"on_c": 80, "hard_c": 70}),
        "plant.throttle.hard_c: is 70, below `on_c`, 80; give at least as much",
    ),
    "tells": (with_plant(tells=["clock", "smell"]), "plant.tells: lists what no device tells"),
    "flag": (with_plant(clock_lies="yes"), "plant.clock_lies: is 'yes'; write true or false"),
    "a plant that is none": (plant(plant=3), "plant: is 3; write an object, as in {...}"),
    "time of a table goes back": (
        plant(inputs={"ambient_c": [[0, 25], [60, 38], [60, 25]]}),
        "inputs.ambient_c[2][0]: is 60, not after 60; sort the pairs by time",
    ),
    "empty table": (plant(inputs={"sun_w": []}), "inputs.sun_w: is empty; give at least one pair"),
    "no pair": (plant(inputs={"sun_w": [3]}), "inputs.sun_w[0]: is 3; write [seconds, value]"),
    "an oven": (
        plant(inputs={"ambient_c": [[0, 250]]}),
        "inputs.ambient_c[0][1]: is 250; give a number from -60 to 100",
    ),
    "interpolate": (
        plant(inputs={"interpolate": "linaer"}),
        "inputs.interpolate: is 'linaer'; did you mean 'linear'? write one of step, linear",
    ),
    "true is no number": (plant(inputs={"on_ac": [[0, True]]}), "inputs.on_ac[0][1]: is true"),
    "sensor of no node": (
        with_sensor(node="dye"),
        "sensors[0].node: is 'dye'; did you mean 'die'? write one of die, board",
    ),
    "sensor twice": (
        plant(sensors=[PLANT["sensors"][0], PLANT["sensors"][0]]),
        f"sensors[1].path: '{SENSOR}' is given twice; leave one of them out",
    ),
    "sensor outside": (with_sensor(path="../etc/passwd"), "is no path below the root of sysfs"),
    "absolute sensor": (with_sensor(path="/etc/passwd"), "is no path below the root of sysfs"),
    "fault": (with_fault(kind="frozen"), "faults[0].kind: is 'frozen'; did you mean 'freeze'?"),
    "fault without value": (with_fault(kind="const"), "faults[0].value: is missing; give a number"),
    "fault backwards": (with_fault(to=2), "faults[0].to: is 2, not after `from`, 3; give the"),
    "static file": (plant(static_files={"class/x": 3}), "static_files.'class/x': is 3; write the"),
    "static file outside": (
        plant(static_files={"../x": "3"}),
        "is no path below the root of sysfs",
    ),
    "limits": (plant(limits={"trip_c": "hot"}), "limits.trip_c: is 'hot'; give a number from 0"),
    "prior": (plant(prior={"board_tau_s": 0}), "prior.board_tau_s: is 0; give a number from 1"),
    "no rungs": (
        plant(tenants=[{"name": "a", "ladders": [{"stage": "m", "rate_hz": 1, "rungs": []}]}]),
        "tenants[0].ladders[0].rungs: is empty; give at least one rung, the best first",
    ),
    "expect": (plant(expect={"ratio_mn": 1}), "expect.ratio_mn: is no such key; did you mean"),
    "columns without time": (
        with_columns("own_cpu", SENSOR),
        "samples.columns: begin with 'own_cpu'; must begin with 't'",
    ),
    "time alone": (with_columns("t"), "samples.columns: are the time alone; record at least one"),
    "no columns": (recording(samples={"rows": []}), "samples.columns: is missing; write a list"),
    "column twice": (
        with_columns("t", SENSOR, SENSOR),
        "samples.columns[2]: ",
    ),
    "unknown column": (with_columns("t", "own"), "samples.columns[1]: 'own' is no column; it is"),
    "no text": (with_columns("t", 3), "samples.columns[1]: is 3; write the name of a column"),
    "missing value": (
        with_rows([0, 1, 2], [1, 2]),
        "samples.rows[1]: has 2 values; give one for each of 3 columns",
    ),
    "time goes back": (
        with_rows([0, 1, 2], [5, 1, 2], [3, 1, 2]),
        "samples.rows[2][0]: time goes from 5 to 3 s; sort the samples by time",
    ),
    "time stands": (with_rows([0, 1, 2], [0, 1, 2]), "time goes from 0 to 0 s; sort the samples"),
    "a gap": (
        with_rows([0, 1, 2], [60, 1, 2]),
        "samples.rows[1][0]: a gap of 60 s after 0 s; cut the recording there; up to 10 s are",
    ),
    "no time": (
        with_rows([None, 1, 2], [1, 1, 2]),
        "samples.rows[0][0]: 't' is null; give seconds",
    ),
    "text for load": (with_rows([0, "x", 2], [1, 1, 2]), "rows[0][1]: 'own_cpu' is 'x'; give a"),
    "one sample": (with_rows([0, 1, 2]), "samples.rows: is a single sample; record for longer"),
    "longer than recorded": (
        recording(duration_s=60),
        "duration_s: is 60, but the last sample is of 4 s; leave it out",
    ),
    "sensor not recorded": (
        recording(sensors=[{"path": "class/thermal/thermal_zone1/temp", "type": "x"}]),
        "sensors[0].path: 'class/thermal/thermal_zone1/temp' was not recorded; name a column",
    ),
}


@pytest.mark.parametrize(("facts", "said"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_said_with_its_place_and_what_to_do(
    facts: object, said: str, tmp_path: Path
) -> None:
    found = complaints(tmp_path, facts)
    assert any(said in line for line in found), found
    assert all("; " in line for line in found)


def test_one_mistake_is_one_complaint(tmp_path: Path) -> None:
    """A wrong value does not make others look wrong."""
    for facts, _ in WRONG.values():
        assert len(complaints(tmp_path, facts)) <= 3


def test_numbers_that_are_none_are_complained_about_in_place(tmp_path: Path) -> None:
    text = json.dumps(plant(seed="S", inputs={"ambient_c": [["T", 25]]}))
    found = complaints(tmp_path, text.replace('"S"', "-Infinity").replace('"T"', "NaN"))
    assert len(found) == 2
    assert any(line.startswith("seed: is not finite;") for line in found)
    assert any(line.startswith("inputs.ambient_c[0][0]: is NaN;") for line in found)


def test_all_mistakes_are_said_together(tmp_path: Path) -> None:
    facts = with_fault(kind="frozen", colour="red") | {"nam": 3, "tick_s": "fast"}
    assert len(complaints(tmp_path, facts)) == 4


def test_thousands_of_mistakes_are_bounded(tmp_path: Path) -> None:
    found = complaints(tmp_path, with_rows(*([k, "x", 2] for k in range(9000))))
    assert len(found) == 51
    assert found[-1] == "8,950 more mistakes like these"


def test_a_key_that_is_given_twice_is_a_mistake(tmp_path: Path) -> None:
    text = json.dumps(PLANT).replace('"idle_w": 2.1', '"idle_w": 2.1, "idle_w": 99')
    assert complaints(tmp_path, text) == [
        "plant.power.idle_w: is given twice; leave one of them out"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "line 1, column 1: is no JSON: Expecting value; mend it there"),
        (b'{"a": 1,\n "b" 2}', "line 2, column 6: is no JSON"),
        (b'{"a": "\xff"}', "byte 7: is no UTF-8; write the file as UTF-8"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"1" * 5000, "is no JSON: "),
    ],
    ids=["empty", "no JSON", "no UTF-8", "deep", "long number"],
)
def test_what_is_no_json_is_said_with_its_place(text: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    file.write_bytes(text)
    with pytest.raises(TraceError, match=re.escape(f"{file}: {said}")):
        read_trace(file)


def test_a_file_that_is_not_there_and_a_folder_are_sentences(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(TraceError, match=r"cannot be read \(.*\); name a file that is there"):
            read_trace(path)


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    with file.open("wb") as handle:
        handle.truncate(1 << 34)
    with pytest.raises(TraceError, match="is larger than 64 MB"):
        read_trace(file)


def test_a_complaint_cannot_steer_a_terminal(tmp_path: Path) -> None:
    """Whatever stands in the file, also half a character."""
    found = complaints(tmp_path, plant(**{"\x1b[2J\ud800": "\x1b[2J"}, name="\x1b[31m"))
    assert all(line.isprintable() for line in found)
    assert "\n".join(found).encode()
