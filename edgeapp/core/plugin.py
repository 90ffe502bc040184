"""Markers and options for plugins. A marker only attaches a record; registering is separate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from edgeapp.core.message import is_topic
from edgeapp.core.needs import Needs, all_needs
from edgeapp.core.payload import Payload

Kind = Literal["source", "transform", "model", "action", "output"]
KINDS: tuple[Kind, ...] = ("source", "transform", "model", "action", "output")
SINKS: frozenset[Kind] = frozenset({"action", "output"})
"""Where packets end."""

MARK = "__edgeapp_mark__"

AnyClass = TypeVar("AnyClass", bound=type[Any])


class Options(BaseModel):
    """Base of a plugin's options: frozen, finite, unknown keys refused, every field described."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False
    )

    def remarks(self) -> Sequence[str]:
        """What `edgeapp check` tells a user about these options: what they cost, what to mind.

        Each one is a sentence without the full stop. Pure: nothing is opened for it.
        """
        return ()

    def longest_wait_s(self) -> float:
        """Of a source: how long one call to its device may block, which is bounded by itself.

        For so long it may be silent, whatever its `hang_s`, before it counts as stuck. 0: it looks
        at `stopping` often enough.
        """
        return 0.0

    def needs(self) -> Needs:
        """What of the machine a stage with these options needs; a service is closed to the rest.

        What options name is found: paths in /dev, addresses such as rtsp://host, `cred:name`, and
        files of the types `InputPath` and `OutputPath`. Who needs more adds it to this. Pure.
        """
        found = Needs()
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            marks = [*field.metadata, *_within(field.annotation)]
            if isinstance(value, Path) and _reads in marks:
                found |= Needs(reads=frozenset({value}))
            elif isinstance(value, Path) and _writes in marks:
                found |= Needs(writes=frozenset({value}))
            found |= all_needs((value,))
        return found


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What relative paths in options are relative to. Passed as pydantic's validation context."""

    folder: Path
    """Where the pipeline's file is: input files are found from here."""
    data: Path
    """Where the pipeline may write: output files and folders are made below it."""
    allow_commands: tuple[str, ...] = ()
    """Programs that the device lets pipelines run: absolute paths, or names."""


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    if not isinstance(info.context, Surroundings):
        return path
    try:
        found = info.context.folder / path.expanduser()
        if found.exists():
            return found.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: `~nobody` has no home
        raise ValueError(f"the file cannot be looked at: {error}") from None
    raise ValueError(f"there is no file '{found}'")


def _from_data(path: Path, info: ValidationInfo) -> Path:
    return info.context.data / path if isinstance(info.context, Surroundings) else path


_reads, _writes = AfterValidator(_from_folder), AfterValidator(_from_data)
InputPath = Annotated[Path, _reads]
"""A file or folder that must exist, relative to the pipeline's file."""
OutputPath = Annotated[Path, _writes]
"""A file or folder to write, relative to the pipeline's data directory."""


class _Watches:
    """Marks an option whose value is a topic to be followed."""


def _one_topic(topic: str) -> str:
    if not is_topic(topic):
        raise ValueError("one topic in full, without '+' and '#', as in plant/pump7/rpm")
    return topic


WatchTopic = Annotated[str, AfterValidator(_one_topic), _Watches()]
"""A topic of the broker, in full, that the stage follows by `context.watch`."""


def watched_topics(options: Options) -> tuple[str, ...]:
    """The topics that a stage with these options follows."""
    return tuple(
        topic
        for name, field in type(options).model_fields.items()
        if _marks_watched(field.metadata) or _marks_watched(_within(field.annotation))
        if (topic := getattr(options, name)) is not None
    )


def _within(annotation: Any) -> list[Any]:
    parts = get_args(annotation)
    return [*parts, *(inner for part in parts for inner in _within(part))]


def _marks_watched(marks: Sequence[object]) -> bool:
    return any(isinstance(mark, _Watches) for mark in marks)


@dataclass(frozen=True, slots=True)
class Reads:
    """In `Annotated[...]` of an option: whoever gives it wants this payload to arrive."""

    payload: type[Payload]


@dataclass(frozen=True, slots=True)
class Live:
    """In `Annotated[...]` of an option: it may be changed while the stage runs.

    The stage then has a method `tune(options)`, called on its thread between two packets with all
    of its options, checked; it takes over those that are marked, and keeps what it remembers.
    """


def live_options(options: type[Options]) -> dict[str, str]:
    """The options that may be changed while the stage runs: key in YAML -> name of the field."""
    return {
        field.alias or name: name
        for name, field in options.model_fields.items()
        if any(isinstance(mark, Live) for mark in field.metadata)
    }


@dataclass(frozen=True, slots=True)
class Mark:
    """What a marker says of a class."""

    kind: Kind
    name: str
    live: Callable[[Any], bool]
    """For sources: whether these options name a device to keep up with."""
    stateless: bool
    """Whether packets may be skipped without changing later answers."""


def _always(_options: object) -> bool:
    return True


def _never(_options: object) -> bool:
    return False


def source(
    name: str, *, live: bool | Callable[[Any], bool] = True
) -> Callable[[AnyClass], AnyClass]:
    """Mark a source. `live`: whether it has a device to keep up with, or a test of its options.

    A live source gets a thread and a link of its own; any other runs the stages inside `emit`.
    """
    test = live if callable(live) else (_always if live else _never)
    return _marker(Mark("source", name, test, stateless=False))


def transform(name: str, *, stateless: bool = False) -> Callable[[AnyClass], AnyClass]:
    """Mark a transform. `stateless`: each answer depends on its own packet alone."""
    return _marker(Mark("transform", name, _never, stateless))


def model(name: str) -> Callable[[AnyClass], AnyClass]:
    """Mark a decoder: what a model stage of this name does with its tensors."""
    return _marker(Mark("model", name, _never, stateless=True))


def action(name: str) -> Callable[[AnyClass], AnyClass]:
    """Mark an action."""
    return _marker(Mark("action", name, _never, stateless=False))


def output(name: str) -> Callable[[AnyClass], AnyClass]:
    """Mark an output."""
    return _marker(Mark("output", name, _never, stateless=False))


def _marker(mark: Mark) -> Callable[[AnyClass], AnyClass]:
    def attach(cls: AnyClass) -> AnyClass:
        setattr(cls, MARK, mark)
        return cls

    return attach


@dataclass(frozen=True, slots=True)
class Plugin:
    """A registered plugin: its mark, its options and what its annotations promise."""

    kind: Kind
    name: str
    factory: type[Any]
    options: type[Options]
    takes: Any
    """Payload type it reads (a class, a union, or a TypeVar for «any»); None for sources."""
    gives: Any
    """Payload type it emits; the same TypeVar as `takes` means «what came in»; None for sinks."""
    live: Callable[[Any], bool]
    stateless: bool
    is_async: bool
    """Its `process`, `act` or `encode` is an `async def`: it gets a thread of its own."""
    where: str
    """File in which it is defined, for errors."""

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (self.factory.__doc__ or "").strip().partition("\n")[0]
