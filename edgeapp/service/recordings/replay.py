"""Plays a recording into a pipeline, stepped: the same packets give the same messages, always."""

import hashlib
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path

from edgeapp import __version__
from edgeapp.config.device import DeviceConfig
from edgeapp.core.context import Context, Log
from edgeapp.core.link import AnyPacket
from edgeapp.core.payload import Payload
from edgeapp.core.plugin import Kind, Options, Plugin
from edgeapp.core.stage import Emit
from edgeapp.document.reader import read, read_file
from edgeapp.document.tree import Entry, Node, Scalar, Table
from edgeapp.plan.discover import Registry
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load_root
from edgeapp.plan.payloads import alternatives, joined
from edgeapp.runtime.pipeline import Outcome
from edgeapp.runtime.status import PipelineStatus, status_of
from edgeapp.runtime.stepped import step_through
from edgeapp.service.recordings.codec import CLASSES
from edgeapp.service.recordings.dry_run import Said, dry
from edgeapp.service.recordings.recording import VERSION, Header, Model, Recording, RecordingError

_PLAYER = "recording of "
_LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless")
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s'\"]*@")


def header_of(plan: Plan, *, sets: Sequence[str], seed: int, masked: Mapping[str, int]) -> Header:
    """What a recording of a pipeline says of it.

    Raises:
        TypeError: a source gives what a recording cannot hold; a sentence for the user.
        OSError: the pipeline's file or a model cannot be read.
    """
    assert plan.file is not None, "it was loaded from a file"
    sources = {}
    for source in plan.sources:
        names = [getattr(one, "__name__", "") for one in alternatives(source.plugin.gives)]
        if "Payload" in names or not set(names) <= set(CLASSES):
            raise TypeError(f"'{source.id}' gives what a recording cannot hold: {', '.join(names)}")
        sources[source.id] = names
    text = plan.file.read_text(encoding="utf-8")
    return Header(
        version=VERSION,
        pipeline=plan.name,
        text=_USER_IN_URL.sub("***@", text),
        sets=tuple(_USER_IN_URL.sub("***@", one) for one in sets),
        folder=str(plan.file.absolute().parent),
        seed=seed,
        sources=sources,
        models=models_of(plan),
        versions=versions(),
        masked=dict(masked),
    )


def models_of(plan: Plan) -> tuple[Model, ...]:
    """Every model file of a pipeline, with its hash.

    Raises:
        OSError: one cannot be read.
    """
    return tuple(
        Model(stage.id, variant.name, variant.file.name, sha256_of(variant.file))
        for stage in plan.stages.values()
        for variant in stage.variants
    )


def sha256_of(file: Path) -> str:
    """The hash of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """What computes here: other versions may give other last digits."""
    found = {"edgeapp": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found | {"machine": platform.machine()}


def plan_of(
    recording: Recording,
    *,
    pipeline: Path | None,
    folder: Path | None,
    sets: Sequence[str],
    device: DeviceConfig,
) -> Plan:
    """The pipeline to replay into: the recorded one, or another; its sources are the recording.

    `folder`: where relative paths of the recorded pipeline start, if not where they did then.
    `sets`: changes, after those with which it was recorded.

    Raises:
        ConfigError: the pipeline cannot run; every mistake.
        RecordingError: its sources are others than those recorded.
    """
    header = recording.header
    changes = list(sets)
    if pipeline is None:
        file = Path(folder or header.folder) / f"{header.pipeline}.yaml"
        root = read(header.text.encode(), f"{recording.file.name}:{header.pipeline}.yaml")
        changes = [one for one in header.sets if one.split(".")[0].strip() not in header.sources]
        changes += sets
    else:
        file, root = pipeline, read_file(pipeline)
    stages = root.get("stages") if isinstance(root, Table) else None
    if not isinstance(root, Table) or stages is None or not isinstance(stages.value, Table):
        return load_root(root, file, sets=changes, device=device, registry=Registry())
    names = _played(recording, stages.value)
    registry = _Players(recording, device.plugins)
    return load_root(
        _with_players(root, names), file, sets=changes, device=device, registry=registry
    )


def other_models(recording: Recording, plan: Plan) -> list[str]:
    """One sentence for each model that is not the one that was there while recording.

    Raises:
        OSError: a model cannot be read.
    """
    then = {(model.stage, model.name): model for model in recording.header.models}
    now = {(model.stage, model.name): model for model in models_of(plan)}
    said = []
    for key in {**then, **now}:
        before, here = then.get(key), now.get(key)
        where = f"{key[0]}: '{key[1]}'"
        if here is None:
            said.append(f"{where} took part in the recording and is not here")
        elif before is None:
            said.append(f"{where} took no part in the recording")
        elif here.sha256 != before.sha256:
            said.append(
                f"{where} is another file: sha256 {here.sha256[:12]}…, "
                f"recorded with {before.sha256[:12]}…"
            )
    return said


def replay(
    recording: Recording,
    plan: Plan,
    *,
    log: Log,
    say: Callable[[Said], None],
    enough: Callable[[], bool] = lambda: False,
) -> tuple[Outcome, PipelineStatus]:
    """Answer the recorded packets, until there is `enough`.

    `plan`: of `plan_of`, then `without_effects`.

    Raises:
        RecordingError: a packet is damaged.
        OSError: the file cannot be read.
    """
    with dry(plan, seed=recording.header.seed, log=log, say=say) as pipeline:
        packets = takewhile(lambda _: not enough(), _as_of(recording, plan))
        outcome = step_through(pipeline, packets)
        return outcome, status_of(pipeline)


def _as_of(recording: Recording, plan: Plan) -> Iterator[AnyPacket]:
    """The packets, as if the plan's sources had given them."""
    origins = {stage.plugin.name.removeprefix(_PLAYER): stage.id for stage in plan.sources}
    for packet in recording.packets():
        origin = origins.get(packet.origin)
        if origin is not None:
            yield packet if origin == packet.origin else packet._replace(origin=origin)


def _played(recording: Recording, stages: Table) -> dict[str, str]:
    """For each source of a pipeline, the recorded one that is played in its place."""
    recorded = list(recording.header.sources)
    sources = [
        entry.key
        for entry in stages.entries
        if isinstance(entry.value, Table) and entry.value.get("source")
    ]
    if len(sources) == len(recorded) == 1:
        return {sources[0]: recorded[0]}
    unknown = [source for source in sources if source not in recorded]
    if unknown:
        raise RecordingError(
            f"'{recording.file}' has nothing of the source '{unknown[0]}': "
            f"it is of {', '.join(recorded)}"
        )
    return {source: source for source in sources}


def _with_players(root: Table, names: Mapping[str, str]) -> Node:
    def played(entry: Entry) -> Entry:
        if entry.key not in names:
            return entry
        plugin = f"{_PLAYER}{names[entry.key]}"
        source = Entry("source", entry.place, Scalar(plugin, plugin, entry.place))
        return Entry(entry.key, entry.place, Table((source,), entry.place))

    stages = root.get("stages")
    assert stages is not None, "looked at already"
    assert isinstance(stages.value, Table), "looked at already"
    table = Table(tuple(map(played, stages.value.entries)), stages.value.place)
    return root.merged([replace(stages, value=table)])


class _NoOptions(Options):
    """A recording has none."""


class _Player:
    """Stands for a source whose packets come from a recording: it gives none by itself."""

    def __init__(self, options: _NoOptions, context: Context) -> None:
        del options, context

    def run(self, emit: Emit[Payload], /) -> None:
        """Nothing to do."""


class _Players(Registry):
    """The plugins of a device, and one for each source of a recording."""

    def __init__(self, recording: Recording, folder: Path | None) -> None:
        super().__init__(folder)
        self._recording = recording

    def find(self, kind: Kind, name: str) -> Plugin:
        """As a registry does."""
        if kind != "source" or not name.startswith(_PLAYER):
            return super().find(kind, name)
        names = self._recording.header.sources[name.removeprefix(_PLAYER)]
        unknown = [one for one in names if one not in CLASSES]
        if unknown or not names:
            raise RecordingError(f"'{self._recording.file}' holds payloads that nobody knows")
        gives = joined([CLASSES[one] for one in names])
        return Plugin(
            "source",
            name,
            _Player,
            _NoOptions,
            takes=None,
            gives=gives,
            live=lambda _options: False,
            stateless=False,
            is_async=False,
            where=str(self._recording.file),
        )
