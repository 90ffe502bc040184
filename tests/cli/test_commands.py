"""Commands, in this process: what they print and the codes that they end with."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgeapp.cli import exits, main
from edgeapp.cli.outcome import COMMANDS, guarded
from edgeapp.errors import Unavailable

Capture = pytest.CaptureFixture[str]


def out_of(capsys: Capture, *arguments: str | Path, code: int = exits.OK) -> str:
    """What a command prints, once it has ended with `code`."""
    ended = main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    assert ended == code, shown.err
    return shown.out if code == exits.OK else shown.err


# -- help -----------------------------------------------------------------------------------

HELPS = [[], *([name] for name in COMMANDS), ["plugins", "list"], ["plugins", "info"]]


def example_of(capsys: Capture, *command: str) -> list[str]:
    """The example that a command's help ends with."""
    *_, heading, example = out_of(capsys, *command, "--help").rstrip().splitlines()
    assert heading == "Example:"
    program, *arguments = shlex.split(example)
    assert program == "edgeapp"
    return arguments


@pytest.mark.parametrize("command", HELPS, ids=" ".join)
def test_every_help_ends_with_an_example_of_that_command(
    command: list[str], capsys: Capture
) -> None:
    arguments = example_of(capsys, *command)
    assert arguments[: len(command[:1])] == command[:1]
    assert all(len(line) <= 80 for line in out_of(capsys, *command, "--help").splitlines())


@pytest.mark.parametrize("command", ["check", "graph", "schema", "plugins"])
def test_the_examples_work(
    command: str, capsys: Capture, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    arguments = example_of(capsys, command)
    models = repo / "pipelines" / "models"
    if command in {"check", "graph"} and not list(models.glob("*.onnx")):
        pytest.skip(f"no models in {models}")
    assert out_of(capsys, *arguments)


def test_a_mistyped_command_is_answered_with_the_near_one(capsys: Capture) -> None:
    assert 'Did you mean "check"?' in out_of(capsys, "chekc", code=exits.USAGE)


def test_a_mistyped_option_is_answered_with_the_near_one(capsys: Capture, pump: Path) -> None:
    assert "Did you mean --for?" in out_of(capsys, "run", pump, "--fro", "3s", code=exits.USAGE)


# -- mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "check", "graph", "bench"])
def test_a_pipeline_file_that_is_not_there(command: str, capsys: Capture) -> None:
    assert "there is no file 'no.yaml'" in out_of(capsys, command, "no.yaml", code=exits.NO_INPUT)


def test_a_wrong_duration(capsys: Capture, pump: Path) -> None:
    assert "write it as in 30s" in out_of(capsys, "run", pump, "--for", "soon", code=exits.USAGE)


@pytest.mark.parametrize("command", ["run", "check", "graph", "bench"])
def test_every_mistake_in_a_file_is_shown_with_its_line(
    command: str, capsys: Capture, pump: Path
) -> None:
    pump.write_text(pump.read_text().replace("length_s", "lenght_s").replace("jsonl", "jsnl"))
    said = out_of(capsys, command, pump, code=exits.CONFIG)
    assert "did you mean 'length_s'?" in said
    assert "did you mean 'jsonl'?" in said
    assert "2 mistakes" in said
    assert "Traceback" not in said


def test_a_wrong_set_is_a_mistake_too(capsys: Capture, pump: Path) -> None:
    said = out_of(capsys, "check", pump, "--set", "secnd.length_s=1", code=exits.CONFIG)
    assert "did you mean 'second'?" in said


def test_a_bug_shows_its_traceback_and_asks_for_a_report(capsys: Capture) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    assert guarded(broken) == exits.BUG
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert "please report" in said


def test_what_is_unavailable_is_a_sentence(capsys: Capture) -> None:
    def absent() -> None:
        raise Unavailable("no port is free")

    assert guarded(absent) == exits.UNAVAILABLE
    assert capsys.readouterr().err == "edgeapp: no port is free\n"


# -- commands -------------------------------------------------------------------------------


def test_check_says_what_a_pipeline_consists_of(capsys: Capture, pump: Path) -> None:
    assert out_of(capsys, "check", pump) == "ok: pump: 4 stages, reads bearing (bearing)\n"


def test_check_says_which_stage_works_for_nobody(capsys: Capture, pump: Path) -> None:
    pump.write_text(
        f"{pump.read_text()}  idle: {{transform: window, from: bearing, length_s: 2}}\n"
    )
    first, remark = out_of(capsys, "check", pump).splitlines()
    assert "5 stages" in first
    assert remark.startswith("  idle: no stage reads it")


def test_check_as_json(capsys: Capture, pump: Path) -> None:
    said = json.loads(out_of(capsys, "check", "--json", pump))
    assert [stage["id"] for stage in said["pipelines"][0]["stages"]] == [
        "bearing",
        "second",
        "features",
        "trend",
    ]
    pump.write_text("name: pump\nstages: {}\n")
    assert main(["check", "--json", str(pump)]) == exits.CONFIG
    [mistake] = json.loads(capsys.readouterr().out)["mistakes"]
    assert mistake["line"] == 2


def test_graph_shows_types_threads_and_queues(capsys: Capture, pump: Path) -> None:
    pump.write_text(pump.read_text() + "  note: {action: log, from: features}\n")
    assert out_of(capsys, "graph", pump) == (
        "pump: Listen to a bearing.\n"
        "\n"
        "bearing (source bearing) → Signal  [thread pump/bearing/source]\n"
        "└─ second (transform window) → Signal\n"
        "   └─ features (transform features) → Features\n"
        "      ├─ trend (output jsonl)\n"
        "      ╘═ note (action log)  [queue 16, drop_newest; thread pump/hands]\n"
        "\n"
        "─ a direct call; ═ a queue to another thread\n"
    )


def test_graph_as_mermaid_boxes_each_thread(capsys: Capture, pump: Path) -> None:
    pump.write_text(pump.read_text() + "  end: {action: log, from: features}\n")
    shown = out_of(capsys, "graph", pump, "--format", "mermaid")
    assert shown.startswith("flowchart LR\n")
    assert shown.count("subgraph") == 2
    assert 'stage_features ==>|"Features, queue 16 drop_newest"| stage_end' in shown


def test_mistakes_as_json_show_no_secrets(capsys: Capture, pump: Path) -> None:
    pump.write_text("name: a\nstages:\n  s: {source: audio, device: 'rtsp://me:hunter2@cam/1'}\n")
    assert main(["check", "--json", "--set", "s.password=hunter2", str(pump)]) == exits.CONFIG
    said = capsys.readouterr().out
    assert len(json.loads(said)["mistakes"]) >= 2
    assert "hunter2" not in said


def test_graph_as_json(capsys: Capture, pump: Path) -> None:
    said = json.loads(out_of(capsys, "graph", pump, "--format", "json"))
    assert [(stage["id"], stage["gives"]) for stage in said["stages"]] == [
        ("bearing", "Signal"),
        ("second", "Signal"),
        ("features", "Features"),
        ("trend", None),
    ]


def test_plugins_lists_built_in_and_dropped_in_ones(capsys: Capture, tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "broken.py").write_text(
        "from edgeapp.api import source\n@source('dud')\nclass D: 1/0"
    )
    shown = out_of(capsys, "plugins")
    assert re.search(r"^sources\n", shown, re.MULTILINE)
    assert re.search(r"^  window +Cut a signal into windows", shown, re.MULTILINE)
    assert re.search(r"^  dud +broken: .*ZeroDivisionError", shown, re.MULTILINE)
    rows = json.loads(out_of(capsys, "plugins", "list", "--json"))
    assert {("source", "bearing"), ("output", "mqtt")} <= {(r["kind"], r["name"]) for r in rows}


def test_plugins_info_shows_options_with_defaults_and_an_example(capsys: Capture) -> None:
    shown = out_of(capsys, "plugins", "info", "detector")
    assert "takes  Image" in shown
    assert "gives  Detections" in shown
    assert "min_score: a number from 0.001 to 1; default 0.4" in shown
    assert "  my_detector:\n    model: detector\n    variants:" in shown
    assert max(map(len, shown.splitlines())) <= 80


def all_plugins() -> list[str]:
    from edgeapp.plan.discover import Registry

    return [f"{kind}.{name}" for kind, name in Registry().keys()]  # noqa: SIM118 - no mapping


@pytest.mark.parametrize("name", all_plugins())
def test_every_option_of_every_plugin_is_described(name: str, capsys: Capture) -> None:
    [facts] = json.loads(out_of(capsys, "plugins", "info", name, "--json"))
    assert facts["summary"].endswith(".")
    for option in facts["options"]:
        assert option["description"].endswith("."), option["name"]
        assert option["wants"] != "see its description", option["name"]
    if facts["from"] == "edgeapp":
        assert "..." not in facts["example"], "every option that is required has an example"


def test_plugins_info_lists_the_keys_that_such_a_stage_can_have(capsys: Capture) -> None:
    shown = out_of(capsys, "plugins", "info", "camera")
    assert "Keys of every source: when_full, depth, lane, hang_s" in shown
    assert "size: a list of 2 values: each a whole number; optional" in shown
    assert "  my_camera:\n    source: camera\n    device: /dev/video0" in shown


def test_an_unknown_plugin_is_answered_with_the_near_one(capsys: Capture) -> None:
    said = out_of(capsys, "plugins", "info", "windw", code=exits.USAGE)
    assert "did you mean 'window'?" in said


def test_the_schema_accepts_what_check_accepts(capsys: Capture, pump: Path) -> None:
    from yaml import safe_load

    schema: dict[str, Any] = json.loads(out_of(capsys, "schema"))
    pipeline = safe_load(pump.read_text())
    jsonschema.validate(pipeline, schema)
    pipeline["stages"]["second"]["lenght_s"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(pipeline, schema)


def test_the_schemas_of_messages_are_printed_by_name(capsys: Capture) -> None:
    schemas = json.loads(out_of(capsys, "schema", "--messages"))
    assert {"detections", "score", "features"} <= set(schemas)
    assert "id" in schemas["score"]["required"]


def test_tap_without_a_broker_says_so(capsys: Capture) -> None:
    said = out_of(capsys, "listen", "--port", "1", code=exits.UNAVAILABLE)
    assert "127.0.0.1:1" in said
    assert "Traceback" not in said


def test_bench_measures_every_stage_and_acts_on_nothing(
    capsys: Capture, pump: Path, tmp_path: Path
) -> None:
    said = json.loads(out_of(capsys, "bench", pump, "--frames", "40", "--json"))
    assert said["left_out"] == ["trend"]
    [rung] = said["rungs"]
    assert rung["frames"] == 40
    stages = {stage["id"]: stage for stage in rung["stages"]}
    assert stages["second"]["packets"] == 40
    assert stages["features"]["packets"] < 40
    assert all(stage["cpu_ms"] > 0 for stage in stages.values())
    assert not list(tmp_path.rglob("trend.jsonl"))


def test_bench_prints_a_table(capsys: Capture, pump: Path) -> None:
    shown = out_of(capsys, "bench", pump, "--frames", "10")
    assert re.search(r"^bearing +bearing +10 +\d+\.\d{3}$", shown, re.MULTILINE)
    assert "Left out, for they would act: trend." in shown


def test_bench_gives_up_on_a_source_that_gives_nothing(
    capsys: Capture, pump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeapp.cli.measure._SILENCE_S", 0.05)
    pump.write_text("name: p\nstages:\n  cam: {source: camera, device: /dev/video99}\n")
    said = out_of(capsys, "bench", pump, code=exits.UNAVAILABLE)
    assert "the source 'cam' gives nothing" in said
