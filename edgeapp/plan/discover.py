"""Where plugins come from: the built-in table, entry points, and a folder of drop-in files.

A plugin's class is imported when a pipeline uses it, and not before. Therefore names must be known
without importing: an entry point is called `<kind>.<name>` (group `edgeapp.plugins`), and the
markers in a drop-in file are read from its text, so they must be given their name as a literal.
"""

import ast
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeapp.core.plugin import KINDS, Kind, Plugin
from edgeapp.errors import PluginError
from edgeapp.plan.builtins import BUILTINS
from edgeapp.plan.registry import mark_of, register

GROUP = "edgeapp.plugins"

_MARKER = rf"(?m)^@(?:[\w.]+\.)?({'|'.join(KINDS)})\(\s*(?:name\s*=\s*)?[\"']([^\"']+)[\"']"

Key = tuple[Kind, str]

_imported: dict[Path, tuple[int, ...]] = {}
"""The marks of the drop-in files that were imported, of before."""


@dataclass(frozen=True, slots=True)
class Found:
    """A plugin that exists, not imported yet."""

    where: str
    """The file or the package that has it."""
    load: Callable[[], type[Any]]


class Registry:
    """Every plugin that a pipeline may name."""

    def __init__(self, folder: Path | None = None) -> None:
        """Look around; `folder` holds drop-in files. Imports nothing."""
        self._found: dict[Key, list[Found]] = {}
        self._known: dict[Key, Plugin | PluginError] = {}
        self._unreadable: list[str] = []
        for key, path in BUILTINS.items():
            self._add(key, Found("edgeapp", partial(_import_class, path)))
        for entry in entry_points(group=GROUP):
            self._add_entry_point(entry)
        for file in sorted(folder.glob("*.py")) if folder else ():
            self._add_file(file)

    @property
    def unreadable(self) -> tuple[str, ...]:
        """One sentence for each file or entry point that tells of no plugin though it should."""
        return tuple(self._unreadable)

    def names(self, kind: Kind) -> tuple[str, ...]:
        """The names of all plugins of a kind."""
        return tuple(sorted(name for found, name in self._found if found == kind))

    def keys(self) -> tuple[Key, ...]:
        """Kind and name of every plugin, by kind, then by name."""
        return tuple((kind, name) for kind in KINDS for name in self.names(kind))

    def has(self, kind: Kind, name: str) -> bool:
        """Whether there is such a plugin; it may still be unusable."""
        return (kind, name) in self._found

    def find(self, kind: Kind, name: str) -> Plugin:
        """Import and verify a plugin, once.

        Raises:
            KeyError: there is none of that name.
            PluginError: it is there twice, does not import, or breaks its contract.
        """
        key = (kind, name)
        if key not in self._known:
            try:
                self._known[key] = self._load(key, self._found[key])
            except PluginError as error:
                self._known[key] = error
        known = self._known[key]
        if isinstance(known, PluginError):
            raise known
        return known

    def _load(self, key: Key, found: list[Found]) -> Plugin:
        kind, name = key
        if len(found) > 1:
            places = " and ".join(f"in {one.where}" for one in found)
            raise PluginError(f"there are {len(found)} {kind}s called '{name}': {places}")
        plugin = register(_loaded(kind, name, found[0]))
        if (plugin.kind, plugin.name) != key:
            raise PluginError(
                f"{found[0].where} offers {kind} '{name}', but the class is marked as "
                f"{plugin.kind} '{plugin.name}'"
            )
        return plugin

    def _add(self, key: Key, found: Found) -> None:
        self._found.setdefault(key, []).append(found)

    def _add_entry_point(self, entry: EntryPoint) -> None:
        package = entry.dist.name if entry.dist else entry.value
        kind, _, name = entry.name.partition(".")
        for known in KINDS:
            if known == kind and name:
                self._add((known, name), Found(f"package '{package}'", entry.load))
                return
        self._unreadable.append(
            f"package '{package}': the entry point '{entry.name}' must be called <kind>.<name>, "
            "such as transform.gate"
        )

    def _add_file(self, file: Path) -> None:
        try:
            text = file.read_text(encoding="utf-8")
            markers = set(_markers(text))
        except (OSError, ValueError) as error:
            self._unreadable.append(f"{file} cannot be read: {error}")
            return
        except SyntaxError as error:
            self._unreadable.append(f"{file}:{error.lineno} is not Python: {error.msg}")
            markers = {(kind, name) for kind, name in re.findall(_MARKER, text)}
        for kind in KINDS:
            for name in sorted(name for marked, name in markers if marked == kind):
                self._add(
                    (kind, name),
                    Found(str(file), partial(_class_in, file, (kind, name))),
                )


def _loaded(kind: Kind, name: str, found: Found) -> type[Any]:
    """Import a plugin's class.

    Raises:
        PluginError: it does not import, for whatever reason.
    """
    try:
        return found.load()
    except PluginError:
        raise
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}"
        raise PluginError(
            f"{kind} '{name}' cannot be imported: {_last_line(error, found.where)}: {said}"
        ) from error


def _import_class(path: str) -> type[Any]:
    module, _, name = path.partition(":")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


def _markers(text: str) -> Iterator[tuple[str, str]]:
    """Kind and name of each marked class in the text of a file.

    Raises:
        SyntaxError: it is not Python.
    """
    for node in ast.parse(text).body:
        for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            if not isinstance(decorator, ast.Call):
                continue
            kind = getattr(decorator.func, "id", getattr(decorator.func, "attr", ""))
            named = [k.value for k in decorator.keywords if k.arg == "name"]
            for value in (*decorator.args[:1], *named):
                if kind in KINDS and isinstance(value, ast.Constant):
                    yield kind, str(value.value)


def _class_in(file: Path, key: Key) -> type[Any]:
    for value in vars(_module_of(file)).values():
        mark = mark_of(value)
        if mark and (mark.kind, mark.name) == key:
            found: type[Any] = value
            return found
    raise PluginError(f"{file} has no {key[0]} '{key[1]}' after all, once it is imported")


def _module_of(file: Path) -> ModuleType:
    """Import a drop-in file, once."""
    name = f"edgeapp_plugin_{file.stem}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(file):
        return known
    before = _mark(file)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise PluginError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    _imported[file] = before
    return module


def changed_since_import(folder: Path | None) -> tuple[Path, ...]:
    """The drop-in files of a folder whose plugins are imported, and not as they are there now.

    They stay as they were until the process ends: objects of them are in use.
    """
    known = sorted(_imported.items())
    return tuple(file for file, mark in known if file.parent == folder and _mark(file) != mark)


def _mark(file: Path) -> tuple[int, ...]:
    """Differs once the file does."""
    try:
        state = file.stat()
    except OSError:
        return ()
    return state.st_ino, state.st_size, state.st_mtime_ns


def _last_line(error: BaseException, file: str) -> str:
    """The line of a plugin's own file where an exception passed, as far as that is known."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f"{file}:{lines[-1]}" if lines else file
