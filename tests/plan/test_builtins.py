import subprocess
import sys

import pytest

from edgeapp.config.words import describe, schema_of
from edgeapp.core.plugin import Kind
from edgeapp.plan.builtins import BUILTINS
from edgeapp.plan.discover import Registry

KEYS = sorted(BUILTINS)


@pytest.fixture(scope="module")
def plain_registry() -> Registry:
    """The built-in plugins alone."""
    return Registry()


@pytest.mark.parametrize(("kind", "name"), KEYS)
def test_every_built_in_keeps_the_contract(plain_registry: Registry, kind: Kind, name: str) -> None:
    plugin = plain_registry.find(kind, name)

    assert (plugin.kind, plugin.name) == (kind, name)
    assert plugin.summary.endswith(".")


@pytest.mark.parametrize(("kind", "name"), KEYS)
def test_every_option_says_what_it_is_for_and_what_it_wants(
    plain_registry: Registry, kind: Kind, name: str
) -> None:
    options = plain_registry.find(kind, name).options
    schema = schema_of(options)

    for option, field in options.model_fields.items():
        assert field.description, option
        assert describe(schema["properties"][option], schema), option


def test_checking_a_vibration_pipeline_loads_no_opencv_and_no_model_runtime() -> None:
    script = """
import sys
from pathlib import Path
from edgeapp.config.device import read_device
from edgeapp.plan.load import load
file = Path(sys.argv[1])
load([file], device=read_device(environment={"STATE_DIRECTORY": str(file.parent)}))
print(sorted({"cv2", "onnxruntime", "aiomqtt", "rich"} & set(sys.modules)))
"""
    text = "{name: a, stages: {b: {source: bearing}, w: {transform: window, length_s: 1}, "
    text += "f: {transform: features}, a: {transform: anomaly}, l: {action: log}}}"
    done = subprocess.run(
        [sys.executable, "-c", script, "/dev/stdin"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[]\n"
