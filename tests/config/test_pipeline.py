import pytest

from edgeapp.config.pipeline import RESERVED, ModelSettings, PipelineSpec, read_pipeline
from edgeapp.config.sets import parse_sets
from edgeapp.core.plugin import KINDS
from edgeapp.document.reader import read
from edgeapp.errors import Complaint


def spec_of(text: str, *sets: str) -> tuple[PipelineSpec | None, list[Complaint]]:
    found: list[Complaint] = []
    changes = parse_sets(sets, found)
    return read_pipeline(read(text.encode(), "f"), "f", changes, found), found


def problems(text: str, *sets: str) -> list[str]:
    return [c.problem for c in spec_of(text, *sets)[1]]


GOOD = """
name: porch
about: Say so when a person comes.
stages:
  camera: {source: camera, device: 0, depth: 2}
  detect: {model: detector, from: camera, deadline_ms: 150, min_score: 0.4, variants: [a.onnx]}
  tell: {output: mqtt, class: critical, every_s: 2}
"""


def test_a_pipeline_file_is_read_into_stages() -> None:
    spec, found = spec_of(GOOD)

    assert not found
    assert spec
    assert (spec.name, spec.about) == ("porch", "Say so when a person comes.")
    assert [(s.id, s.kind, s.plugin) for s in spec.stages.values()] == [
        ("camera", "source", "camera"),
        ("detect", "model", "detector"),
        ("tell", "output", "mqtt"),
    ]
    detect = spec.stages["detect"]
    assert isinstance(detect.settings, ModelSettings)
    assert (detect.settings.reads, detect.settings.deadline_ms) == (("camera",), 150)


def test_a_plugin_gets_the_keys_that_are_not_the_frameworks() -> None:
    spec, _ = spec_of(GOOD)

    assert spec
    assert [e.key for e in spec.stages["detect"].options.entries] == ["min_score"]


@pytest.mark.parametrize(
    "key",
    [
        "from",
        "when_full",
        "depth",
        "lane",
        "hang_s",
        "variants",
        "bundle",
        "deadline_ms",
        "timeout_s",
        "class",
        "every_s",
        "source",
        "transform",
        "model",
        "action",
        "output",
    ],
)
def test_framework_keys_are_reserved(key: str) -> None:
    assert key in RESERVED


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1]", "a pipeline file has the keys name, about and stages, but this is a list"),
        ("name: a", "the pipeline has no stages"),
        ("name: a\nstages:", "'stages' must name at least one stage, but it is empty"),
        (
            "name: a\nstages: {}",
            "'stages' must name at least one stage, but it is an empty group of keys",
        ),
        ("stages: {a: {source: b}}", "the pipeline has no name"),
        (
            "name: [1]\nstages: {a: {source: b}}",
            "the name of the pipeline must be text, but it is a list",
        ),
        ("name: a\nabout: []\nstages: {a: {source: b}}", "'about' must be text, not an empty list"),
        ("name: a\nstage: {}\nstages: {a: {source: b}}", "a pipeline file has no key 'stage'"),
        ("name: a\nstages: {a: camera}", "stage 'a' must hold keys, but it is 'camera'"),
        ("name: a\nstages: {a: {device: 0}}", "stage 'a' does not say what it is"),
        ("name: a\nstages: {a: {source: b, output: c}}", "stage 'a' says twice what it is"),
        (
            "name: a\nstages: {a: {source: }}",
            "'source' must be the name of a plugin, but it is empty",
        ),
        ("name: a\nstages: {set: {source: b}}", "the name 'set' is taken by the framework"),
        (
            "name: a\nstages: {a: {source: b, every_s: 2}}",
            "'every_s' belongs to output stages, and 'a' is none",
        ),
        (
            "name: a\nstages: {a: {source: b, hang_s: 0}}",
            "stage 'a': hang_s must be a number greater than 0 and not greater than 86400, not 0",
        ),
        (
            "name: a\nstages: {a: {source: b, depth: x}}",
            "stage 'a': depth must be a whole number from 1 to 4096, not 'x'",
        ),
        (
            "name: a\nstages: {a: {output: b, class: urgent}}",
            "stage 'a': class must be 'critical', 'normal' or 'bulk', not 'urgent'",
        ),
    ],
)
def test_mistakes_of_shape(text: str, problem: str) -> None:
    assert problems(text) == [problem]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("name: a\nstages: {a: {sorce: b}}", "'sorce': did you mean 'source'?"),
        ("name: a\nstages: {a: {output:mqtt}}", "write 'output: ...', with a space after the ':'"),
        ("name: a\nstages: {a: {rate_hz: 3}}", f"it needs one of the keys {', '.join(KINDS)}"),
        (
            "name: a\nstages: {a: {source: b}}\nc: {transform: d}",
            "if it is a stage, indent it below 'stages:'",
        ),
    ],
)
def test_near_misses_of_shape_say_what_to_write(text: str, remedy: str) -> None:
    assert [c.remedy for c in spec_of(text)[1]] == [remedy]


def test_a_number_may_be_a_name() -> None:
    spec, found = spec_of("name: 7\nstages: {1: {source: b}}")

    assert not found
    assert spec
    assert (spec.name, list(spec.stages)) == ("7", ["1"])


def test_set_changes_and_adds_options() -> None:
    spec, found = spec_of(
        GOOD, "camera.device=video.mp4", "tell.retain=true", "detect.labels=[a, b]"
    )

    assert not found
    assert spec
    device = spec.stages["camera"].table.get("device")
    assert device
    assert device.place.file == "--set camera.device=video.mp4"
    assert spec.stages["tell"].table.get("retain")


def test_set_can_change_framework_keys_and_plugins() -> None:
    spec, found = spec_of(GOOD, "camera.source=conveyor", "detect.deadline_ms=20")

    assert not found
    assert spec
    assert spec.stages["camera"].plugin == "conveyor"
    settings = spec.stages["detect"].settings
    assert isinstance(settings, ModelSettings)
    assert settings.deadline_ms == 20


@pytest.mark.parametrize("text", ["", "camera", "camera=3", "camera.rate_hz", ".a=1", "a.=1", "=x"])
def test_a_set_that_names_no_option_is_refused(text: str) -> None:
    found: list[Complaint] = []

    assert parse_sets([text], found) == ()
    assert [c.remedy for c in found] == ["write --set stage.option=value"]


def test_the_value_of_a_set_is_yaml_and_its_mistakes_name_the_set() -> None:
    found: list[Complaint] = []

    assert parse_sets(["a.b=[1, 2"], found) == ()
    [complaint] = found
    assert complaint.place
    assert (complaint.place.file, complaint.place.line) == ("--set a.b=[1, 2", 0)
    assert complaint.problem == "a ',' or the closing ']' is missing"


def test_a_set_without_a_value_is_empty() -> None:
    [change] = parse_sets(["a.b="], [])

    assert (change.stage, change.entry.key) == ("a", "b")


def test_a_value_may_hold_equals_signs() -> None:
    found: list[Complaint] = []
    [change] = parse_sets(["a.b=rtsp://x?y=1"], found)

    assert not found
    assert change.entry.key == "b"
