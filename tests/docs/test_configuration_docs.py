"""What docs/configuration.md shows is what comes out."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from edgeapp.cli import exits, main
from edgeapp.cli.schema import device_schema
from edgeapp.config.outside import KEYS, MOST_VARIABLES
from tests.docs.test_config_docs import blocks


@pytest.fixture
def page(repo: Path) -> Path:
    return repo / "docs" / "configuration.md"


def test_the_example_of_layers_gives_what_is_shown(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line by line, but for the folders, which are others."""
    device, site = blocks(page, "yaml")
    etc = tmp_path / "etc"
    (etc / "conf.d").mkdir(parents=True)
    (etc / "edgeapp.yaml").write_text(device)
    (etc / "conf.d" / "10-site.yaml").write_text(site)
    [(variable, shown)] = re.findall(
        r"```\n\$ (\w+=\w+) edgeapp config show --origin\n(.*?)\.\.\.\n```",
        page.read_text(),
        re.DOTALL,
    )
    name, _, value = variable.partition("=")
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(etc))
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edgeapp")

    assert main(["config", "show", "--origin"]) == exits.OK
    out = capsys.readouterr().out.replace(str(etc), "/etc/edgeapp")

    assert out.startswith(shown)


def test_the_limits_are_those_of_the_code(page: Path) -> None:
    text = page.read_text()
    assert f"At most {MOST_VARIABLES} are read" in text
    for key in re.findall(r"`EDGEAPP_([A-Z]+(?:_[A-Z]+)*)(?:__\w+)?[=`]", text):
        assert key.lower() in {*KEYS, "log", "devise"}


def test_the_schema_accepts_the_device_files_of_the_docs(repo: Path, page: Path) -> None:
    schema = json.loads(json.dumps(device_schema()))
    validator = jsonschema.Draft202012Validator(schema)
    _, whole = blocks(repo / "docs" / "pipelines.md", "yaml")
    for text in (whole, (repo / "systemd" / "edgeapp.yaml").read_text(), blocks(page, "yaml")[0]):
        assert not list(validator.iter_errors(yaml.safe_load(text)))
    assert list(validator.iter_errors({"mqtt": {"hots": "a"}}))
