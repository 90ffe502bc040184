"""Going over to changed pipeline files while the application runs."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeapp.config.device import DeviceConfig
from edgeapp.document.reader import read_bytes
from edgeapp.document.render import clean, clean_place
from edgeapp.errors import Complaint, ConfigError
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load
from edgeapp.runtime.app import App
from edgeapp.runtime.kit import Kit
from edgeapp.service.control import RefusedError

_MOST_SAID = 3
_LONGEST = 300

Equip = Callable[[Sequence[Plan], Kit], Kit]
"""Gives pipelines what they need of the device. Raises RefusedError where that takes a restart."""
Mark = tuple[object, ...]
"""Differs once a file does."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line named."""

    files: tuple[Path, ...]
    sets: tuple[str, ...]
    device: Path | None

    def marks(self) -> dict[Path, Mark]:
        """The files as they are now; take them before they are read."""
        named = (*self.files, self.device) if self.device else self.files
        return {file: _mark(file) for file in named}


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did."""

    started: tuple[str, ...]
    gone: tuple[str, ...]
    """Names that there is no pipeline of any more."""
    kept: tuple[str, ...]
    device_changed: bool

    def __str__(self) -> str:
        """A sentence."""
        said = []
        if self.started:
            said.append(f"{_listed(self.started)} started anew")
        if self.gone:
            said.append(f"{_listed(self.gone)} gone")
        if self.kept:
            said.append(f"{_listed(self.kept)} unchanged")
        if self.device_changed:
            said.append("the device file has changed, which takes a restart")
        return "; ".join(said)


class Reload:
    """Reads the files of the command line again; pipelines whose files changed are exchanged.

    A pipeline's files are its own and those of its models. All of them are checked as a whole
    first: where anything is wrong, everything goes on as it was. What was tuned live is forgotten
    by a pipeline that starts anew, and by no other.
    """

    def __init__(
        self,
        app: App,
        plans: Sequence[Plan],
        given: Given,
        *,
        marks: Mapping[Path, Mark],
        device: DeviceConfig,
        equip: Equip,
    ) -> None:
        """Prepare.

        `plans`: one for each of the files, in their order; `marks`: of before they were read.
        """
        self._app = app
        self._given = given
        self._device = device
        self._equip = equip
        self._device_mark = marks.get(given.device) if given.device else None
        self._known = {
            file: (_Known(plan.name, (marks[file], *_models(plan))))
            for file, plan in zip(given.files, plans, strict=True)
        }
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self) -> Reloaded:
        """Reload.

        Raises:
            RefusedError: nothing was changed; says why.
        """
        async with self._one_at_a_time:
            try:
                done = await self._reload()
            except RefusedError as error:
                self._app.kit.log.warning("reload refused", why=str(error))
                raise
            told = {"started": done.started, "gone": done.gone, "unchanged": done.kept}
            facts = {what: ", ".join(names) for what, names in told.items() if names}
            self._app.kit.log.info("reloaded", **facts)
            return done

    async def _reload(self) -> Reloaded:
        given = self._given
        try:
            marks, plans = await asyncio.to_thread(self._read)
        except ConfigError as error:
            raise RefusedError(_said(error.complaints)) from None
        known = {
            file: _Known(plan.name, (marks[file], *_models(plan)))
            for file, plan in zip(given.files, plans, strict=True)
        }
        changed = [file for file in given.files if known[file] != self._known[file]]
        coming = [plan for file, plan in zip(given.files, plans, strict=True) if file in changed]
        leaving = [self._known[file].name for file in changed]
        self._app.kit = self._equip(coming, self._app.kit)
        try:
            await self._app.change(leaving, coming)
        except RuntimeError as error:
            raise RefusedError(str(error)) from None
        self._known = known
        names = {plan.name for plan in plans}
        return Reloaded(
            tuple(plan.name for plan in coming),
            tuple(name for name in leaving if name not in names),
            tuple(known[file].name for file in given.files if file not in changed),
            given.device is not None and marks[given.device] != self._device_mark,
        )

    def _read(self) -> tuple[dict[Path, Mark], tuple[Plan, ...]]:
        marks = self._given.marks()
        return marks, load(self._given.files, sets=self._given.sets, device=self._device)


@dataclass(frozen=True, slots=True)
class _Known:
    """A pipeline file as it was when it was read."""

    name: str
    mark: Mark


def _mark(file: Path) -> Mark:
    try:
        # As far as it would be read: there may be a pipe by now, or something without an end.
        return (hashlib.sha256(read_bytes(file)).digest(),)
    except ConfigError as error:
        return tuple(one.problem for one in error.complaints)


def _models(plan: Plan) -> Mark:
    """The model files of a pipeline: which, how large, and when they were changed."""
    found: list[object] = []
    for variant in (v for stage in plan.stages.values() for v in stage.variants):
        try:
            state = variant.file.stat()
            found.append((variant.file, state.st_size, state.st_mtime_ns))
        except OSError as error:
            found.append((variant.file, error.errno))
    return tuple(found)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_SAID])
    more = len(names) - _MOST_SAID
    return f"{shown} and {more} more" if more > 0 else shown


def _said(complaints: Sequence[Complaint]) -> str:
    """The first few mistakes, without anything secret."""
    said = [_complaint(one) for one in complaints[:_MOST_SAID]]
    if len(complaints) > _MOST_SAID:
        said.append(f"{len(complaints) - _MOST_SAID} more")
    return "nothing was changed: " + "; ".join(said)


def _complaint(complaint: Complaint) -> str:
    said = complaint.problem
    place = complaint.place
    if place is not None:
        file = Path(clean_place(place)).name
        said = f"{file}:{place.line}: {said}" if place.line else f"{file}: {said}"
    if complaint.remedy:
        said = f"{said} ({complaint.remedy})"
    said = clean(said)
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
