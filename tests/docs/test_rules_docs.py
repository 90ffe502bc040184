"""docs/rules.md names every field as the code has it, and its example is right."""

from pathlib import Path

import pytest

from edgeapp.config.device import read_device
from edgeapp.core.payload import Payload
from edgeapp.plan.load import load
from edgeapp.rules.fields import PACKETS, SINGLE, Scope
from edgeapp.rules.rule import Rule
from edgeapp.rules.syntax import FUNCTIONS, MAX_DEPTH, MAX_LENGTH, MAX_TOKENS
from tests.docs.test_config_docs import blocks

KINDS = {"number": "number", "text": "text", "truth": "yes or no", "any": "fact"}


def heading(scope: Scope, payload: type) -> str:
    """What stands above the table of a payload."""
    if payload is Payload:
        return "Of every packet:"
    both = " (and Tracks)" if payload.__name__ == "Detections" else ""
    each = ", each one, in `keep`" if scope is SINGLE else ""
    return f"Of {payload.__name__}{both}{each}:"


@pytest.mark.parametrize("scope", [PACKETS, SINGLE])
def test_every_field_is_in_its_table(repo: Path, scope: Scope) -> None:
    page = (repo / "docs" / "rules.md").read_text(encoding="utf-8")
    for payload, table in scope.tables.items():
        rows = [f"| `{name}` | {KINDS[f.kind]} | {f.about} |" for name, f in table.items()]
        wanted = [heading(scope, payload), "", "| Field | | Meaning |", "|---|---|---|", *rows, ""]
        assert "\n".join(wanted) in page, heading(scope, payload)


def test_functions_and_limits_are_named(repo: Path) -> None:
    page = (repo / "docs" / "rules.md").read_text(encoding="utf-8")
    for function in FUNCTIONS:
        assert f"{function}(" in page
    for limit in (MAX_LENGTH, MAX_TOKENS, MAX_DEPTH):
        assert str(limit) in page


def test_the_example_is_right(repo: Path, tmp_path: Path) -> None:
    [pipeline] = blocks(repo / "docs" / "rules.md", "yaml")
    (tmp_path / "yolox_nano.onnx").touch()
    (tmp_path / "porch.yaml").write_text(pipeline)

    [plan] = load([tmp_path / "porch.yaml"], device=read_device(), open_models=False)

    assert plan.stages["tell"].when == Rule("score > 0.8")
