"""Going over to changed pipeline files while the application runs, and back where that was bad."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from edgeapp.config.device import DeviceConfig
from edgeapp.core.context import Log
from edgeapp.document.render import clean
from edgeapp.errors import ConfigError
from edgeapp.plan.discover import changed_since_import
from edgeapp.plan.graph import Plan
from edgeapp.runtime.app import App
from edgeapp.runtime.kit import Kit
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.status import state_of
from edgeapp.runtime.trim import trim_memory
from edgeapp.service.control.server import RefusedError
from edgeapp.service.monitoring.health import ILL, NOT_YET
from edgeapp.service.reloading.pipeline_files import (
    Given,
    Loaded,
    Mark,
    device_marks,
    listed,
    mark,
    marks_of_models,
    models_of,
    said_of,
    texts_of,
)
from edgeapp.service.reloading.trial import Bad, Trial
from edgeapp.service.starts.good import GoodFiles
from edgeapp.service.starts.healthy import HEALTHY_AFTER_S
from edgeapp.uplink.notices import ConfigNotice, OnLastGood

LOOK_S = 1.0
_LONGEST = 300
_MOST_TOLD = 32

Equip = Callable[[Sequence[Plan], Kit], Kit]
"""Gives pipelines what they need of the device. Raises RefusedError where that takes a restart."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did."""

    started: tuple[str, ...]
    gone: tuple[str, ...]
    """Names that there is no pipeline of any more."""
    kept: tuple[str, ...]
    device_changed: bool
    on_last_good: tuple[str, ...] = ()
    """Among the kept: their files are as bad as when they went back, and were not tried again."""
    plugins_changed: tuple[str, ...] = ()
    """Files of plugins that were imported before they changed."""

    def __str__(self) -> str:
        """A sentence."""
        kept = [name for name in self.kept if name not in self.on_last_good]
        said = []
        if self.started:
            said.append(f"{listed(self.started)} started anew")
        if self.gone:
            said.append(f"{listed(self.gone)} gone")
        if kept:
            said.append(f"{listed(kept)} unchanged")
        if self.on_last_good:
            what = "on the last good file, as the file is what it was when that went back"
            said.append(f"{listed(self.on_last_good)} {what}")
        if self.device_changed:
            said.append("the device file has changed, which takes a restart")
        if self.plugins_changed:
            said.append(f"changed plugins take a restart: {listed(self.plugins_changed)}")
        return "; ".join(said) or "there is no pipeline"


@dataclass(frozen=True, slots=True)
class _Tried:
    """What a file held that was not well."""

    text: Mark
    models: tuple[Path, ...]
    models_mark: Mark

    @classmethod
    def of(cls, known: "_Known") -> "_Tried":
        return cls(mark(known.text), known.models, known.models_mark)

    def is_still(self, text: bytes) -> bool:
        return mark(text) == self.text and marks_of_models(self.models) == self.models_mark


@dataclass(frozen=True, slots=True)
class _Known:
    """A pipeline file, and what runs of it."""

    name: str
    text: bytes
    models: tuple[Path, ...]
    models_mark: Mark
    last_good: str = ""
    """Why this is the last good text and not what is in the file; empty: it is what is there."""
    tried: _Tried | None = None
    """What is there was tried, and is not tried again."""

    @classmethod
    def of(cls, plan: Plan, text: bytes) -> "_Known":
        models = models_of(plan)
        return cls(plan.name, text, models, marks_of_models(models))

    def same(self, other: "_Known") -> bool:
        return (self.name, self.text, self.models_mark) == (
            other.name,
            other.text,
            other.models_mark,
        )


def _as_written(known: _Known) -> _Known:
    """What runs is what is there."""
    return replace(known, last_good="", tried=None)


@dataclass(slots=True)
class _OnTrial:
    """A pipeline that has come lately."""

    trial: Trial
    back_to: bytes | None = None
    """The text that it may go back to."""


class Reload:
    """Reads the pipeline files again; pipelines whose files changed are exchanged.

    A pipeline's files are its own and those of its models. All of them are checked as a whole
    first: where anything is wrong, everything goes on as it was. A pipeline that is not well for
    its time of grace goes back to its last good file, once. On the event loop.

    A file is kept as good once its pipeline was well for as long as makes a start healthy; one that
    came with a reload, for its time of grace where that is longer.
    """

    def __init__(
        self,
        app: App,
        loaded: Loaded,
        given: Given,
        *,
        device: DeviceConfig,
        marks: Mapping[Path, Mark],
        equip: Equip,
        good: GoodFiles | None = None,
        check_device: Callable[[], object] | None = None,
        good_s: float = HEALTHY_AFTER_S,
    ) -> None:
        """Prepare.

        `loaded`: what runs; `marks`: those of the device, of before it was read. `good`: where good
        files are kept; None: they are not. `check_device` reads the device configuration anew, and
        raises ConfigError where a restart would find a mistake in it. `good_s`: a pipeline is to be
        well for so long at least.
        """
        self._app = app
        self._given = given
        self._load = given.load(device)
        self._plugins = device.plugins
        self._equip = equip
        self._device_marks = dict(marks)
        self._device_changed = False
        self._check_device = check_device
        self._good = good
        self._good_s = good_s
        self._kept: dict[Path, bytes] = {}
        """The good texts of this run, also where they cannot be written."""
        self._known = {
            file: replace(
                _Known.of(plan, text), last_good=loaded.fallen_back.get(file, "")[:_LONGEST]
            )
            for plan, (file, text) in zip(loaded.plans, loaded.texts.items(), strict=True)
        }
        self._refused = ""
        self._complained = False
        self._one_at_a_time = asyncio.Lock()
        self._on_trial = {
            file: _OnTrial(Trial(self._pipeline(known.name), app.kit.clock, good_s))
            for file, known in self._known.items()
        }
        for file, why in loaded.fallen_back.items():
            self._log.error("file is wrong, its last good text runs", file=file.name, why=why)

    @property
    def _log(self) -> Log:
        return self._app.kit.log

    def _pipeline(self, name: str) -> Pipeline:
        return next(one for one in self._app.pipelines if one.plan.name == name)

    # -- reloading --------------------------------------------------------------------------

    async def __call__(self) -> Reloaded:
        """Reload.

        Raises:
            RefusedError: nothing was changed; says why.
        """
        async with self._one_at_a_time:
            try:
                done = await self._reload()
            except RefusedError as error:
                self._refused = str(error)
                self._log.warning("reload refused", why=str(error))
                raise
            self._refused = ""
            told = {
                "started": done.started,
                "gone": done.gone,
                "unchanged": done.kept,
                "on_last_good": done.on_last_good,
            }
            facts = {what: ", ".join(names) for what, names in told.items() if names}
            self._log.info("reloaded", **facts)
            if done.device_changed:
                self._log.warning("the device file has changed, which takes a restart")
            if done.plugins_changed:
                names = ", ".join(done.plugins_changed)
                self._log.warning("changed plugins take a restart", files=names)
            return done

    async def _reload(self) -> Reloaded:
        given, before = self._given, self._known
        try:
            texts, plans, still, marks = await asyncio.to_thread(self._read)
        except ConfigError as error:
            raise RefusedError(f"nothing was changed: {said_of(error.complaints)}") from None
        now = {
            file: before[file] if file in still else _Known.of(plan, texts[file])
            for file, plan in zip(texts, plans, strict=True)
        }
        changed = [f for f in now if f not in before or not now[f].same(before[f])]
        now |= {f: _as_written(known) for f, known in now.items() if f not in still}
        coming = {f: plan for f, plan in zip(texts, plans, strict=True) if f in changed}
        leaving = [known.name for f, known in before.items() if f in changed or f not in now]
        back_to = {f: await asyncio.to_thread(self._back_to, f, texts[f]) for f in coming}
        self._app.kit = self._equip(tuple(coming.values()), self._app.kit)
        await self._change(leaving, tuple(coming.values()))
        self._known = now
        self._device_changed = marks != self._device_marks
        for file in before.keys() - now.keys():
            self._on_trial.pop(file, None)
            self._kept.pop(file, None)
            if self._good is not None and given.folder is not None:
                await asyncio.to_thread(self._forget, file)
        for file in coming:
            self._begin_trial(file, back_to[file])
        names = {known.name for known in now.values()}
        return Reloaded(
            tuple(plan.name for plan in coming.values()),
            tuple(name for name in leaving if name not in names),
            tuple(known.name for file, known in now.items() if file not in changed),
            self._device_changed,
            tuple(now[file].name for file in still),
            tuple(file.name for file in changed_since_import(self._plugins)),
        )

    def _read(
        self,
    ) -> tuple[dict[Path, bytes], tuple[Plan, ...], frozenset[Path], dict[Path, Mark]]:
        """Texts and plans of all files that are to run now, and those that are not tried again."""
        marks = device_marks(self._given.device)
        if self._check_device is not None and marks != self._device_marks:
            self._check_device()
        texts = texts_of(self._given.listed())
        still = frozenset(
            file
            for file, known in self._known.items()
            if file in texts and known.tried is not None and known.tried.is_still(texts[file])
        )
        texts = {f: self._known[f].text if f in still else text for f, text in texts.items()}
        return texts, self._load(tuple(texts), texts), still, marks

    async def _change(self, leaving: Collection[str], coming: Sequence[Plan]) -> None:
        if not leaving and not coming:
            return
        try:
            await self._app.change(leaving, coming)
        except RuntimeError as error:
            raise RefusedError(str(error)) from None
        await asyncio.to_thread(trim_memory)

    # -- being well, and going back ---------------------------------------------------------

    async def run(self) -> None:
        """Look about once a second whether what has come is well, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Keep the file of each pipeline that is good, and let each that is bad go back."""
        async with self._one_at_a_time:
            for file, one in list(self._on_trial.items()):
                verdict = one.trial.look()
                if isinstance(verdict, Bad):
                    await self._judge_bad(file, one, verdict.why)
                elif verdict:
                    del self._on_trial[file]
                    self._kept[file] = self._known[file].text
                    if self._good is not None:
                        await asyncio.to_thread(self._keep, file, self._known[file].text)

    async def _judge_bad(self, file: Path, one: _OnTrial, why: str) -> None:
        bad, text = self._known[file], one.back_to
        one.trial.again()  # where it cannot go back it may become well yet
        one.back_to = None  # which is tried once
        if text is None:
            return
        try:
            plan = await asyncio.to_thread(self._plan_of, file, text)
            self._app.kit = self._equip((plan,), self._app.kit)
            await self._change([bad.name], [plan])
        except (ConfigError, RefusedError) as error:
            said = said_of(error.complaints) if isinstance(error, ConfigError) else str(error)
            self._log.error("pipeline cannot go back", pipeline=bad.name, bad=why, why=said)
            return
        good = _Known.of(plan, text)
        said = clean(why)[:_LONGEST]
        self._known[file] = replace(good, last_good=said, tried=_Tried.of(bad))
        self._log.error(
            "pipeline went back to its last good file",
            pipeline=bad.name,
            file=file.name,
            why=said,
        )
        self._begin_trial(file, None)

    def _plan_of(self, file: Path, text: bytes) -> Plan:
        texts = {f: text if f == file else known.text for f, known in self._known.items()}
        plans = self._load(tuple(texts), texts)
        return plans[list(texts).index(file)]

    def _begin_trial(self, file: Path, back_to: bytes | None) -> None:
        pipeline = self._pipeline(self._known[file].name)
        good_s = max(self._good_s, pipeline.plan.grace_s)
        self._on_trial[file] = _OnTrial(Trial(pipeline, self._app.kit.clock, good_s), back_to)

    def _back_to(self, file: Path, coming: bytes) -> bytes | None:
        """What a new text of a file may go back to: the last good one, else what runs and is well."""
        known = self._known.get(file)
        kept = self._kept.get(file)
        if kept is None and self._good is not None:
            kept = self._good.text_of(file)
        if kept is None and known is not None:
            well = state_of(self._pipeline(known.name))[0] not in ILL | NOT_YET
            kept = known.text if well else None
        return None if kept == coming else kept

    def _keep(self, file: Path, text: bytes) -> None:
        assert self._good is not None
        try:
            self._good.keep(file, text)
            self._complained = False
        except (OSError, ValueError) as error:
            if not self._complained:
                self._log.warning("good file cannot be kept", file=file.name, problem=str(error))
            self._complained = True

    def _forget(self, file: Path) -> None:
        assert self._good is not None
        try:
            self._good.forget(file)
        except OSError as error:
            self._log.warning("good file cannot be removed", file=file.name, problem=str(error))

    # -- telling ----------------------------------------------------------------------------

    def notice(self) -> ConfigNotice:
        """How what runs differs from what is written."""
        return ConfigNotice(
            schema="edgeapp/config/1",
            refused=self._refused,
            last_good=tuple(
                OnLastGood(pipeline=known.name, file=file.name, why=known.last_good)
                for file, known in self._known.items()
                if known.last_good
            )[:_MOST_TOLD],
            restart_needed=self._device_changed,
        )

    def facts(self) -> dict[str, Any]:
        """The same as plain data."""
        facts: dict[str, Any] = msgspec.to_builtins(self.notice())
        del facts["schema"]
        return facts
