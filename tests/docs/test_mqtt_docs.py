"""What docs/mqtt.md shows is so."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeapp.config.device import read_device
from edgeapp.config.device_file import DeviceFile
from edgeapp.config.names import RESERVED
from edgeapp.outputs.bodies import BODIES
from edgeapp.uplink import outbox, sender, traffic
from edgeapp.uplink.notices import NOTICES
from edgeapp.uplink.wire import Envelope
from tests.contract import problems


@pytest.fixture(scope="module")
def page(repo: Path) -> str:
    return (repo / "docs" / "mqtt.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_there_is_a_valid_example_of_each_message(page: str) -> None:
    examples = [json.loads(example) for example in blocks(page, "json")]
    assert {e["schema"] for e in examples} == {f"edgeapp/{n}/1" for n in (*BODIES, *NOTICES)}
    for example in examples:
        assert problems(example) == []
    assert {example["clock"] for example in examples} == {"synced", "unsynced"}


def test_the_table_of_topics_is_that_of_asyncapi(repo: Path, page: str) -> None:
    """Commands are told as one there, and one by one below."""
    said: dict[str, Any] = yaml.safe_load((repo / "docs" / "asyncapi.yaml").read_text())
    retained = {
        operation["channel"]["$ref"]: operation["bindings"]["mqtt"]["retain"]
        for operation in said["operations"].values()
    }
    rows = dict(re.findall(r"^\| `([a-z</>]+)` \| (yes|no|if)\b", page, re.MULTILINE))
    commands = set(re.findall(r"^\| `\w+` \| `([a-z</>]*set)` \|", page, re.MULTILINE))
    for name, channel in said["channels"].items():
        if name in {"discovery", "homeAssistantStatus"}:
            continue
        below = channel["address"].split("/", 2)[2].replace("{", "<").replace("}", ">")
        if below == "set" or below.endswith("/set"):
            commands.remove(below)
        else:
            assert rows.pop(below) == (
                "if" if name == "results" else "yes" if retained[f"#/channels/{name}"] else "no"
            )
    assert not rows
    assert not commands


def test_every_field_of_the_envelope_is_in_the_table(page: str) -> None:
    first_cells = " ".join(re.findall(r"^\| (`[a-z_`, ]+`) \|", page, re.MULTILINE))
    for field in Envelope.__struct_fields__:
        assert f"`{field}`" in first_cells, field


def test_reserved_names_are_told(page: str) -> None:
    [told] = re.findall(
        r"No pipeline and no stage can be called ([^,]*(?:, `\w+`)* or `\w+`)", page
    )
    assert set(re.findall(r"`(\w+)`", told)) == RESERVED


def test_the_device_file_is_right_and_has_every_key(page: str, tmp_path: Path) -> None:
    [text] = blocks(page, "yaml")
    (tmp_path / "device.yaml").write_text(text)
    device = read_device(tmp_path / "device.yaml", environment={})
    assert device.mqtt
    assert device.mqtt.port == 8883
    said = yaml.safe_load(text)
    fields = DeviceFile.model_fields
    for part in ("mqtt", "outbox"):
        annotation = fields[part].annotation
        model = next((t for t in getattr(annotation, "__args__", ()) if t), annotation)
        assert set(said[part]) == set(model.model_fields)  # type: ignore[union-attr]  # a model
    defaults = read_device(None, environment={})
    assert device.outbox == defaults.outbox


def test_figures_are_those_of_the_code(page: str) -> None:
    assert f"Up to {traffic.WINDOW} messages are unacknowledged" in page
    assert f"at most {traffic.WINDOW} messages each time" in page
    assert f"at most {outbox.FRESH_S:.0f} seconds old" in page
    assert f"waits up to {sender.DRAIN_S:.0f} seconds" in page
