import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from edgeapp.errors import PluginError
from edgeapp.plan import discover
from edgeapp.plan.discover import Registry

GOOD = '''
"""A plugin."""
import edgeapp.api as api
print("imported")

@api.transform(
    "{name}", stateless=True
)
class Mine:
    """Mine."""
    def __init__(self, options: api.Options, context: api.Context) -> None: ...
    def process(self, packet: api.Packet[api.Image]) -> api.Image: ...
'''


def test_drop_in_files_are_imported_when_used_and_not_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.py").write_text(GOOD.replace("{name}", "mine"))
    (tmp_path / "_helper.txt").write_text("not Python")

    registry = Registry(tmp_path)

    assert "mine" in registry.names("transform")
    assert capsys.readouterr().out == ""
    plugin = registry.find("transform", "mine")
    assert registry.find("transform", "mine") is plugin
    assert capsys.readouterr().out == "imported\n"
    assert plugin.where == str(tmp_path / "one.py")


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Registry().find("transform", "nothing")


def test_two_files_with_one_name_are_both_named(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(GOOD.replace("{name}", "mine"))

    with pytest.raises(PluginError, match=r"2 transforms called 'mine': in .*a\.py and in .*b\.py"):
        Registry(tmp_path).find("transform", "mine")


def test_a_built_in_cannot_be_replaced_silently(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(GOOD.replace("{name}", "window"))

    with pytest.raises(
        PluginError, match=r"2 transforms called 'window': in edgeapp and in .*a\.py"
    ):
        Registry(tmp_path).find("transform", "window")


def test_a_file_that_does_not_import_hurts_only_who_uses_it(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import nowhere\n" + GOOD.replace("{name}", "bad"))
    (tmp_path / "good.py").write_text(GOOD.replace("{name}", "good"))

    registry = Registry(tmp_path)

    assert registry.find("transform", "good")
    with pytest.raises(PluginError) as caught:
        registry.find("transform", "bad")
    assert str(caught.value) == (
        f"transform 'bad' cannot be imported: {broken}:1: "
        "ModuleNotFoundError: No module named 'nowhere'"
    )
    assert "edgeapp_plugin_broken" not in sys.modules


@pytest.mark.parametrize("statement", ["raise SystemExit(3)", "1 / 0", "assert False, 'no'"])
def test_whatever_an_import_raises_is_one_error(tmp_path: Path, statement: str) -> None:
    (tmp_path / "bad.py").write_text(GOOD.replace("{name}", "bad") + statement)

    with pytest.raises(PluginError, match=r"cannot be imported: .*bad\.py:13: "):
        Registry(tmp_path).find("transform", "bad")


def test_a_file_that_is_no_python_still_tells_its_names(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("@transform('bad')\nclass Bad(:\n    pass\n")

    registry = Registry(tmp_path)

    assert registry.unreadable == (f"{tmp_path / 'bad.py'}:2 is not Python: invalid syntax",)
    with pytest.raises(PluginError, match=r"cannot be imported: .*bad\.py:2: SyntaxError"):
        registry.find("transform", "bad")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = '\0'"])
def test_a_file_that_cannot_be_read_is_remarked_upon(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.py").write_bytes(content)

    [remark] = Registry(tmp_path).unreadable

    assert remark.startswith(str(tmp_path / "bad.py"))


def test_a_marker_that_is_not_there_in_the_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(GOOD.replace("{name}", "bad") + "\ndel Mine\n")

    with pytest.raises(PluginError, match="has no transform 'bad' after all"):
        Registry(tmp_path).find("transform", "bad")


def test_installed_packages_bring_plugins_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def entries(group: str) -> list[EntryPoint]:
        assert group == "edgeapp.plugins"
        return [
            EntryPoint("transform.cut", "edgeapp.transforms.window:Window", group),
            EntryPoint("cutter", "edgeapp.transforms.window:Window", group),
        ]

    monkeypatch.setattr(discover, "entry_points", entries)
    registry = Registry()

    assert "cut" in registry.names("transform")
    assert registry.unreadable == (
        (
            "package 'edgeapp.transforms.window:Window': the entry point 'cutter' must be called "
            "<kind>.<name>, such as transform.gate"
        ),
    )
    with pytest.raises(PluginError, match="offers transform 'cut', but the class is marked as"):
        registry.find("transform", "cut")


def test_an_entry_point_loads_its_class(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other_package.py").write_text(GOOD.replace("{name}", "theirs"))
    monkeypatch.syspath_prepend(tmp_path)

    def entries(group: str) -> list[Any]:
        return [EntryPoint("transform.theirs", "other_package:Mine", group)]

    monkeypatch.setattr(discover, "entry_points", entries)

    assert Registry().find("transform", "theirs").summary == "Mine."
