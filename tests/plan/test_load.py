from collections.abc import Callable
from pathlib import Path

import pytest

from edgeapp.config.device import DeviceConfig
from edgeapp.document.render import render_all
from edgeapp.errors import Complaint, ConfigError
from edgeapp.plan.builtins import BUILTINS
from edgeapp.plan.discover import Registry
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load

Check = Callable[..., tuple[Plan, ...]]
Stages = Callable[..., Plan]
Mistakes = Callable[..., list[str]]

CAM = "cam: {source: cam}"
OWN = {"cam", "odd", "replay", "sensor"}
SOURCES = ", ".join(sorted(OWN | {name for kind, name in BUILTINS if kind == "source"}))


def complaints(check: Check, *texts: str, sets: tuple[str, ...] = ()) -> tuple[Complaint, ...]:
    with pytest.raises(ConfigError) as caught:
        check(*texts, sets=sets)
    return caught.value.complaints


def test_each_file_becomes_a_plan_in_order(check: Check, tmp_path: Path) -> None:
    plans = check(
        "name: two\nabout: Second.\nstages: {cam: {source: cam}}",
        "name: one\nstages: {cam: {source: cam}}",
    )

    assert [(p.name, p.about, p.file) for p in plans] == [
        ("two", "Second.", tmp_path / "a.yaml"),
        ("one", "", tmp_path / "b.yaml"),
    ]


def test_framework_keys_are_in_the_plan(stages: Stages) -> None:
    plan = stages(
        "cam: {source: cam, hang_s: 5}",
        "act: {action: act, timeout_s: 2}",
        "count: {transform: count, from: cam, level: 1}",
        "tell: {output: tell, class: bulk, every_s: 1.5}",
    )

    assert plan.stages["cam"].hang_s == 5
    assert plan.stages["act"].timeout_s == 2
    assert (plan.stages["tell"].priority, plan.stages["tell"].every_s) == ("bulk", 1.5)


def test_input_files_are_found_beside_the_pipeline(stages: Stages, tmp_path: Path) -> None:
    (tmp_path / "x.txt").touch()

    plan = stages(CAM, "count: {transform: count, level: 1, file: x.txt}")

    assert plan.stages["count"].options.file == tmp_path / "x.txt"  # type: ignore[attr-defined] # of a drop-in plugin


def test_output_files_lie_in_the_pipelines_own_folder(stages: Stages, tmp_path: Path) -> None:
    plan = stages(CAM, "count: {transform: count, level: 1}", "o: {output: jsonl, file: a.jsonl}")

    assert plan.stages["o"].options.file == tmp_path / "data/test/a.jsonl"  # type: ignore[attr-defined] # of jsonl


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (
            ["cam: {source: cem}"],
            (f"1: there is no source 'cem' = did you mean 'cam'? Sources: {SOURCES}"),
        ),
        (
            ["cam: {source: window}"],
            "1: there is no source 'window' = 'window' is of another kind: write 'transform: window'",
        ),
        (
            [CAM, "c: {transform: count}"],
            (
                "2: transform 'count' needs the option 'level'"
                " = add 'level: ...', a whole number not less than 0. How much."
            ),
        ),
        (
            [CAM, "c: {transform: count, level: 1, lvl: 2}"],
            "2: transform 'count' has no option 'lvl' = did you mean 'level'? Options: level, file",
        ),
    ],
)
def test_wrong_plugins_and_options(mistakes: Mistakes, lines: list[str], wrong: str) -> None:
    assert mistakes(*lines) == [wrong]


def test_a_missing_input_file_is_a_mistake(mistakes: Mistakes, tmp_path: Path) -> None:
    assert mistakes(CAM, "c: {transform: count, level: 1, file: x.txt}") == [
        f"2: stage 'c': file: there is no file '{tmp_path / 'x.txt'}'"
    ]


@pytest.mark.parametrize("file", ["x" * 5000, "~nobody-of-this-name/x"])
def test_an_impossible_path_is_a_mistake(mistakes: Mistakes, file: str) -> None:
    [wrong] = mistakes(CAM, f"c: {{transform: count, level: 1, file: {file}}}")

    assert wrong.startswith("2: stage 'c': file: the file cannot be looked at: ")


def test_all_mistakes_of_all_files_come_at_once_in_their_order(check: Check) -> None:
    found = complaints(
        check,
        "name: a\nstages:\n  x: {transform: count, levle: 1}\n  cam: {source: cem}",
        "name: [",
        "name: C\nstages:\n  cam: {source: cam, speed: 0}",
    )

    places = [(Path(c.place.file).name, c.place.line) for c in found if c.place]
    assert places == [("a.yaml", 3)] * 3 + [
        ("a.yaml", 4),
        ("b.yaml", 1),
        ("c.yaml", 1),
        ("c.yaml", 3),
    ]


def test_a_device_file_in_place_of_a_pipeline_is_named_as_one(check: Check) -> None:
    (mistake,) = complaints(check, "device: porch\nmqtt: {host: broker.local}")

    assert mistake.problem == "this is a device file, not a pipeline"
    assert mistake.remedy == "give it with --device"


def test_two_pipelines_cannot_have_one_name(check: Check, tmp_path: Path) -> None:
    text = "name: a\nstages: {cam: {source: cam}}"

    [complaint] = complaints(check, text, text)

    assert complaint.problem == f"another pipeline is called 'a' already, in {tmp_path / 'a.yaml'}"
    assert complaint.place
    assert complaint.place.file == str(tmp_path / "b.yaml")


def test_set_changes_every_pipeline_that_has_the_stage(check: Check) -> None:
    text = "stages: {cam: {source: cam}}"

    plans = check(f"name: a\n{text}", f"name: b\n{text}", sets=("cam.speed=4",))

    assert [p.stages["cam"].options.speed for p in plans] == [4, 4]  # type: ignore[attr-defined] # of a drop-in plugin


def test_mistakes_of_a_set_name_the_set(check: Check) -> None:
    [complaint] = complaints(
        check, "name: a\nstages: {cam: {source: cam}}", sets=("cam.speed=abc",)
    )

    assert render_all([complaint]) == (
        "--set cam.speed=abc: stage 'cam': speed must be a number greater than 0, not 'abc'"
    )


def test_a_set_for_a_stage_that_is_nowhere_is_a_mistake(mistakes: Mistakes) -> None:
    assert mistakes(CAM, sets=("can.speed=4",)) == [
        "no pipeline has a stage 'can' = did you mean 'cam'? Stages: cam"
    ]


def test_a_source_that_cannot_say_whether_it_is_live_is_a_mistake(mistakes: Mistakes) -> None:
    [wrong] = mistakes("odd: {source: odd}")

    assert wrong.startswith("1: stage 'odd' cannot use its plugin: the 'live' of source 'odd'")


def test_no_file_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="no pipeline file was given"):
        load([], device=DeviceConfig("d", Path("/d"), None, None))


def test_a_broken_plugin_is_a_mistake_of_the_stages_that_use_it(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "bad.py").write_text("import nowhere\n@source('bad')\nclass Bad: ...\n")
    file = tmp_path / "a.yaml"
    file.write_text("name: a\nstages:\n  x: {source: bad}\n  y: {source: bearing}\n")
    device = DeviceConfig("d", tmp_path, plugins, None)

    with pytest.raises(ConfigError) as caught:
        load([file], device=device)

    assert [(c.place.line, c.problem) for c in caught.value.complaints if c.place] == [
        (
            3,
            (
                f"stage 'x' cannot use its plugin: source 'bad' cannot be imported: "
                f"{plugins / 'bad.py'}:1: ModuleNotFoundError: No module named 'nowhere'"
            ),
        )
    ]
    file.write_text("name: a\nstages:\n  y: {source: bearing}\n")
    assert load([file], device=device)[0].name == "a"


def test_a_plugin_file_that_is_no_python_is_mentioned_where_a_plugin_is_missing(
    tmp_path: Path,
) -> None:
    (tmp_path / "bad.py").write_text("NAME = 'x'\n@source(NAME)\nclass :\n")
    file = tmp_path / "a.yaml"
    file.write_text("name: a\nstages: {x: {source: x}}")

    with pytest.raises(ConfigError) as caught:
        load([file], device=DeviceConfig("d", tmp_path, tmp_path, None))

    assert f"{tmp_path / 'bad.py'}:3 is not Python" in caught.value.complaints[0].remedy


def test_nothing_is_read_twice_nor_made(check: Check, tmp_path: Path) -> None:
    """A check leaves no trace on the disk."""
    check("name: a\nstages: {cam: {source: cam}, o: {action: act}}")

    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_registries_can_be_shared(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: a\nstages: {cam: {source: cam}}")
    device = DeviceConfig("d", tmp_path, None, None)

    first, second = (load([file], device=device, registry=registry)[0] for _ in range(2))

    assert first.stages["cam"].plugin is second.stages["cam"].plugin
