from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgeapp.document.reader import read
from edgeapp.document.tree import plain
from edgeapp.errors import ConfigError
from edgeapp.plan.discover import Registry
from edgeapp.plan.graph import Plan
from edgeapp.plan.schema import pipeline_schema

Check = Callable[..., tuple[Plan, ...]]


@pytest.fixture(scope="module")
def schema(registry: Registry) -> dict[str, Any]:
    return pipeline_schema(registry)


def valid(schema: dict[str, Any], text: str) -> bool:
    return jsonschema.Draft7Validator(schema).is_valid(plain(read(text.encode(), "t")))


def test_the_schema_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(schema)
    assert "$defs" not in str(schema)
    assert "prefixItems" not in str(schema)


def test_every_option_of_every_plugin_has_a_description(schema: dict[str, Any]) -> None:
    stages = schema["properties"]["stages"]["additionalProperties"]["anyOf"]
    bare = [
        key
        for stage in stages
        for key, option in stage["properties"].items()
        if "description" not in option
    ]

    assert len(stages) > 20
    assert bare == []


GOOD = [
    "{source: cam}",
    "{source: cam, speed: 2, depth: 3, when_full: wait}",
    "{source: bearing, fault: outer, severity: 2}",
    "{source: bearing, geometry: {balls: 9, ball_mm: 7.94, pitch_mm: 39.04}}",
    "{source: bearing}, w: {transform: window, length_s: 1}",
    "{source: bearing}, f: {transform: features, band_hz: [10, 1500]}",
    "{source: bearing}, f: {transform: features, band_hz: [[10, 100], [100, 1500]]}",
    "{source: camera, device: 0}, d: {transform: shrink}",
    "{source: bearing}, w: {transform: window, length_s: 1, lane: own, depth: 2}",
    "{source: bearing}, w: {action: log, timeout_s: 3, from: x}",
    "{source: cam}, n: {model: guess, variants: [m.onnx, {file: m.onnx, name: b, speed: 2}]}",
    "{source: cam}, n: {model: guess, deadline_ms: 20, variants: [m.onnx]}, o: {output: tell, class: bulk}",
]
BAD = [
    "{}",
    "{source: nothing}",
    "{source: cam, sped: 2}",
    "{source: cam, speed: fast}",
    "{source: cam, speed: '2'}",
    "{source: cam, speed: 0}",
    "{source: cam, depth: 0}",
    "{source: cam, when_full: never}",
    "{source: cam, from: x}",
    "{source: cam, lane: own}",
    "{source: cam, class: bulk}",
    "{source: cam, output: tell}",
    "{source: bearing, fault: ball_of_wax}",
    "{source: cam}, n: {model: guess}",
    "{source: cam}, n: {model: guess, variants: []}",
    "{source: cam}, n: {model: guess, variants: [{name: a}]}",
    "{source: cam}, n: {model: guess, variants: [{file: m.onnx, sped: 2}]}",
    "{source: cam}, c: {transform: count}",
    "{source: cam}, c: {transform: count, level: -1}",
    "{source: cam}, c: {transform: count, level: true}",
    "{source: cam}, Set: {transform: follow}",
    "{source: cam}, set: {transform: follow}",
]


def pipeline(stages: str) -> str:
    return f"name: test\nstages: {{x: {stages}}}"


@pytest.mark.parametrize("stages", GOOD)
def test_what_the_checker_takes_the_schema_takes(
    schema: dict[str, Any], check: Check, tmp_path: Path, stages: str
) -> None:
    (tmp_path / "m.onnx").touch()

    assert check(pipeline(stages))
    assert valid(schema, pipeline(stages))


@pytest.mark.parametrize("stages", BAD)
def test_what_the_schema_refuses_the_checker_refuses(
    schema: dict[str, Any], check: Check, tmp_path: Path, stages: str
) -> None:
    (tmp_path / "m.onnx").touch()

    assert not valid(schema, pipeline(stages))
    with pytest.raises(ConfigError):
        check(pipeline(stages))


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "name: a",
        "stages: {x: {source: cam}}",
        "name: A b\nstages: {x: {source: cam}}",
        "name: a\nstages: {}",
        "name: a\nmore: 1\nstages: {x: {source: cam}}",
    ],
)
def test_the_shape_of_the_file_is_in_the_schema(
    schema: dict[str, Any], check: Check, text: str
) -> None:
    assert not valid(schema, text)
    with pytest.raises(ConfigError):
        check(text)


def test_the_pipelines_that_come_along_are_valid(schema: dict[str, Any], repo: Path) -> None:
    files = sorted((repo / "pipelines").glob("*.yaml"))

    assert files
    for file in files:
        jsonschema.Draft7Validator(schema).validate(plain(read(file.read_bytes(), str(file))))
