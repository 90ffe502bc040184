"""`test`: cases that pass, cases that fail, and what is said of them."""

import json
from pathlib import Path

import pytest

from edgeapp.cli import exits, main
from edgeapp.service.recordings.cases import differences

Capture = pytest.CaptureFixture[str]

PUMP = """\
name: pump
stages:
  bearing: {source: bearing, rate_hz: 4000, resonance_hz: 1500}
  second: {transform: window, length_s: 0.5}
  features: {transform: features}
  trend: {output: jsonl, file: trend.jsonl}
"""
CASE = "about: A second and a half.\npipeline: ../pump.yaml\nset: [bearing.seed=4]\nfor_s: 1.6\n"


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A case whose pipeline would never end, at the pace of a sensor."""
    (tmp_path / "pump.yaml").write_text(PUMP)
    (tmp_path / "tests").mkdir()
    file = tmp_path / "tests" / "well.test.yaml"
    file.write_text(CASE)
    return file


def run(capsys: Capture, *arguments: str | Path, code: int = exits.OK) -> str:
    """All that a command prints, once it has ended with `code`."""
    ended = main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    said = shown.out + shown.err
    assert ended == code, said
    assert "Traceback" not in said
    return said


def test_update_writes_what_comes_and_then_it_is_expected(capsys: Capture, case: Path) -> None:
    assert "there is no 'well.expected.jsonl'" in run(capsys, "test", code=exits.FAILED)
    assert "ok   well: 3 messages, now expected" in run(capsys, "test", "--update")
    expected = case.with_name("well.expected.jsonl").read_text().splitlines()
    assert [json.loads(line)["seq"] for line in expected] == [9, 19, 29]
    assert run(capsys, "test", "tests") == "ok   well: 3 messages\n1 case, all passed\n"
    assert run(capsys, "test", case) == "ok   well: 3 messages\n1 case, all passed\n"


def test_nothing_is_written_by_what_is_tested(capsys: Capture, case: Path, tmp_path: Path) -> None:
    run(capsys, "test", "--update")
    assert not list(tmp_path.rglob("trend.jsonl"))
    assert case.exists()


def test_another_answer_fails_field_by_field(capsys: Capture, case: Path) -> None:
    run(capsys, "test", "--update")
    file = case.with_name("well.expected.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[1]["values"]["x.rms"] += 0.5
    lines[1]["lost"] = 2
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = run(capsys, "test", code=exits.FAILED)
    assert "FAIL well: 3 messages\n" in said
    assert "message 2, of trend (seq 19), is not as expected:\n" in said
    assert "       lost: expected 2, got 0\n" in said
    assert "       values.x.rms: expected 1." in said
    assert said.endswith("1 case, 1 failed\n")


def test_numbers_may_differ_by_within(capsys: Capture, case: Path) -> None:
    run(capsys, "test", "--update")
    file = case.with_name("well.expected.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[2]["values"]["x.rms"] += 0.009
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run(capsys, "test", code=exits.FAILED)
    case.write_text(CASE + "within: 0.01\n")
    assert "all passed" in run(capsys, "test")


def test_a_recording_is_played_in_place_of_the_sources(
    capsys: Capture, case: Path, tmp_path: Path
) -> None:
    end = ["--set", "bearing.duration_s=2", "--set", "bearing.speed=fast"]
    run(capsys, "record", "pump.yaml", "--out", "tests/two.edgerec", "--plain", *end)
    case.write_text("pipeline: ../pump.yaml\nrecording: two.edgerec\n")
    assert "4 messages, now expected" in run(capsys, "test", "--update")
    assert "4 messages\n" in run(capsys, "test")
    (tmp_path / "tests" / "two.edgerec").write_bytes(b"edgerec1")
    assert "has no whole header" in run(capsys, "test", code=exits.FAILED)


def test_a_plugin_that_raises_fails_the_case_also_while_updating(
    capsys: Capture, case: Path, tmp_path: Path
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "bad.py").write_text(
        "from edgeapp.api import *\n"
        "class O(Options):\n    pass\n"
        "@transform('bad')\nclass Bad:\n"
        "    '''Fail on the second packet.'''\n"
        "    def __init__(self, options: O, context: Context) -> None:\n        pass\n"
        "    def process(self, packet: Packet[Signal]) -> Signal:\n"
        "        if packet.seq == 19:\n            raise KeyError('oh')\n"
        "        return packet.value\n"
    )
    (tmp_path / "device.yaml").write_text("device: test\ndata_dir: data\n")
    pump = tmp_path / "pump.yaml"
    pump.write_text(PUMP.replace("  features:", "  bad: {transform: bad}\n  features:"))
    assert main(["test", "--update"]) == exits.FAILED
    assert "stage 'bad' raised 1 time;" in capsys.readouterr().out
    assert not case.with_name("well.expected.jsonl").exists()


def test_a_source_that_gives_nothing_is_given_up(capsys: Capture, case: Path) -> None:
    case.write_text("pipeline: ../cam.yaml\n")
    cam = case.parent.parent / "cam.yaml"
    cam.write_text("name: c\nstages:\n  cam: {source: camera, device: /dev/video99}\n")
    assert "stage 'cam' is not available: " in run(capsys, "test", code=exits.FAILED)


def test_every_mistake_of_every_case_is_shown_with_its_place(capsys: Capture, case: Path) -> None:
    case.write_text("pipeline: pump.yaml\nwithn: 1\n")
    case.with_name("other.test.yaml").write_text("- 1\n")
    said = run(capsys, "test", code=exits.CONFIG)
    assert "did you mean 'within'?" in said
    assert "well.test.yaml:1:11" in said
    assert "other.test.yaml:1:1" in said
    assert "2 cases, 2 failed" in said


def test_as_json(capsys: Capture, case: Path) -> None:
    run(capsys, "test", "--update")
    said = json.loads(run(capsys, "test", "--json"))
    assert said["ok"]
    assert said["cases"][0]["messages"] == 3
    case.with_name("well.expected.jsonl").write_text("")
    said = json.loads(run(capsys, "test", "--json", code=exits.FAILED))
    assert not said["ok"]
    assert said["cases"][0]["problems"][0] == "0 messages were expected, 3 came"


def test_no_case_at_all_says_how_to_make_one(capsys: Capture, tmp_path: Path) -> None:
    said = run(capsys, "test", tmp_path, code=exits.NO_INPUT)
    assert "there is no test case in" in said
    assert "edgeapp record" in said
    assert "there is no folder 'nowhere'" in run(capsys, "test", "nowhere", code=exits.NO_INPUT)


@pytest.mark.parametrize(
    ("expected", "got", "said"),
    [
        ('{"a": 1}', '{"a": 1.5}', "a: expected 1, got 1.5"),
        ('{"a": true}', '{"a": 1}', "a: expected true, got 1"),
        ('{"a": [1, 2]}', '{"a": [1]}', "a: expected [1, 2], got [1]"),
        ('{"a": {"b": null}}', '{"a": {}}', "a.b: expected null, it is missing"),
        ("{}", '{"b": [3]}', "b: not expected, got [3]"),
        ("no json", "{}", 'all: expected "no json", got {}'),
    ],
)
def test_each_kind_of_difference_is_named(expected: str, got: str, said: str) -> None:
    assert f"  {said}" in differences([expected], [got], within=0)


def test_one_message_too_many_is_shown_and_ids_do_not_count() -> None:
    got = ['{"id":"replay/1/1","a":1}', '{"id":"replay/1/2","a":2}']
    assert differences(['{"id":"replay/1/9","a":1}'], got, within=0) == [
        "1 message was expected, 2 came",
        f"the first that is unexpected: {got[1]}",
    ]
