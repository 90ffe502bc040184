"""The pipeline file: its shape, its names, and the keys that belong to the framework."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edgeapp.config.names import problem_with
from edgeapp.config.sets import Change
from edgeapp.config.validate import Subject, validate
from edgeapp.core.link import WhenFull
from edgeapp.core.message import Priority
from edgeapp.core.plugin import KINDS, Kind
from edgeapp.document.tree import Entry, Node, Scalar, Table, kind_of, shortened
from edgeapp.document.words import did_you_mean, nearest
from edgeapp.errors import Complaint, Place
from edgeapp.rules.rule import Rule
from edgeapp.rules.term import Term


class Settings(BaseModel):
    """Base of what the framework reads of a file: frozen, finite, unknown keys refused."""

    # Built on use: most are not used in a run, and each takes milliseconds.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class PipelineSettings(Settings):
    """What a pipeline is worth beside the others, and how long it has to show that it is well."""

    weight: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="How much its answers count beside those of other pipelines, when the device "
        "cannot afford the best of all.",
    )
    critical: bool = Field(
        False,
        description="It is never paused, and its models never stop answering, however hot the "
        "device is.",
    )
    grace_s: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="After a reload it must be well for so many seconds, 20 at least, or it goes back "
        "to its last good file.",
    )


class StageSettings(Settings):
    """The framework's keys of every stage."""

    reads: tuple[str, ...] = Field(
        (),
        alias="from",
        description="Id of the stage to read; the one above if not given. Actions and outputs may "
        "read several: a list.",
    )
    when_full: WhenFull | None = Field(
        None,
        description="What happens to the next packet when the queue before this stage (for a live "
        "source: after it) is full.",
    )
    depth: int | None = Field(
        None, ge=1, le=4096, description="How many packets may wait in that queue."
    )
    lane: Literal["own"] | None = Field(
        None, description="`own`: run this stage, and those that read it, on a thread of its own."
    )
    hang_s: float = Field(
        30.0,
        gt=0,
        le=86_400,
        description="A single call that takes longer than this many seconds counts as stuck.",
    )

    @field_validator("reads", mode="before", json_schema_input_type=str | tuple[str, ...] | None)
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        if value is None:
            return ()
        return (value,) if isinstance(value, str) else value


class SourceSettings(StageSettings):
    """Those of a source."""

    silent_s: float | None = Field(
        None,
        ge=0,
        le=31_536_000,
        description="Tell that a live source is silent when it has given nothing for so many "
        "seconds; 0: never. If not given: after ten of its usual periods, at least 10 seconds, "
        "and after 30 where nothing has come at all.",
    )


class ModelSettings(StageSettings):
    """Those of a model stage; `variants` is read apart."""

    deadline_ms: float | None = Field(
        None, gt=0, description="The greatest age of an answer, in milliseconds since capture."
    )
    carry: dict[str, str] = Field(
        default={},
        description="For recurrent models: which output goes back into which input at the next "
        "run, such as {stateN: state}.",
    )


class SinkSettings(StageSettings):
    """Those of actions and outputs."""

    deadline_ms: float | None = Field(
        None,
        gt=0,
        description="Let packets go, as late, that are older than so many milliseconds since "
        "capture.",
    )
    when: Rule | None = Field(
        None,
        description="Take only packets of which this rule is true, such as: score > 0.6. "
        "docs/rules.md says what it can name.",
    )


class ActionSettings(SinkSettings):
    """Those of an action."""

    timeout_s: float = Field(
        10.0, gt=0, le=86_400, description="How many seconds one action may take."
    )


class OutputSettings(SinkSettings):
    """Those of an output."""

    priority: Priority | None = Field(
        None,
        alias="class",
        description="What the uplink sends first, and evicts last, when there is too much. If not "
        "given: bulk for pictures, else normal.",
    )
    every_s: float = Field(
        0.0,
        ge=0,
        description="At most one message in so many seconds of stream time; 0: all. The beginning "
        "and the end of an event are always sent.",
    )
    on_change: tuple[Term, ...] = Field(
        (),
        description="Only what differs from the last message in one of these, such as: count. "
        "docs/rules.md says what can be named. The beginning and the end of an event are always "
        "sent.",
    )
    ttl_s: float | None = Field(
        None,
        gt=0,
        le=31_536_000,
        description="Of no use so many seconds after capture: what still waits then is dropped.",
    )

    @field_validator("on_change", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


SETTINGS: Mapping[Kind, type[StageSettings]] = {
    "source": SourceSettings,
    "transform": StageSettings,
    "model": ModelSettings,
    "action": ActionSettings,
    "output": OutputSettings,
}


def keys_of(kind: Kind) -> tuple[str, ...]:
    """The framework's keys of stages of a kind, as YAML spells them."""
    fields = SETTINGS[kind].model_fields.items()
    keys = [field.alias or name for name, field in fields]
    return (*keys, "variants", "bundle") if kind == "model" else tuple(keys)


RESERVED: frozenset[str] = frozenset({*KINDS, *(key for kind in KINDS for key in keys_of(kind))})
"""Keys of stages that belong to the framework."""


def reserved(kind: Kind) -> frozenset[str]:
    """Keys of a stage that no plugin of a kind may use for its options.

    A transform may have a rule `when`, as sinks have: it alone knows what it does with the rest.
    """
    return RESERVED - {"when"} if kind == "transform" else RESERVED


class VariantSettings(Settings):
    """The framework's keys of a variant, beside its file and name."""

    accuracy: float | None = Field(
        None,
        gt=0,
        le=1,
        description="How good its answers are, from 0 to 1, such as its mean average precision. If "
        "not given: what an accuracy.json beside the file says of it.",
    )


VARIANT_KEYS: frozenset[str] = frozenset({"file", "name", *VariantSettings.model_fields})
"""Keys of a variant, beside the options of its decoder."""


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage as the file has it: the framework's keys are checked, the options are not."""

    id: str
    place: Place
    """Of the id."""
    kind: Kind
    plugin: str
    plugin_place: Place
    """Of the plugin's name."""
    table: Table
    """All of the stage's keys, with what `--set` changed."""
    settings: StageSettings

    @property
    def label(self) -> str:
        """How complaints call it."""
        return f"stage '{self.id}'"

    @property
    def options(self) -> Table:
        """The keys that are the plugin's."""
        return self.table.without(reserved(self.kind))

    def place_of(self, key: str) -> Place:
        """Where a key stands; where the stage begins if it does not."""
        entry = self.table.get(key)
        return entry.place if entry else self.place


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """A pipeline file, its stages in the order of the file."""

    name: str
    name_place: Place
    about: str
    stages: Mapping[str, StageSpec]
    """Those that could be read."""
    ids: tuple[str, ...]
    """Of all stages, also of those that could not be read."""
    settings: PipelineSettings


_OF_ALL = tuple(PipelineSettings.model_fields)
_TOP = ("name", "about", *_OF_ALL, "stages")


def read_pipeline(
    root: Node, file: str, changes: Sequence[Change], found: list[Complaint]
) -> PipelineSpec | None:
    """What a pipeline file says; mistakes go to `found`. None when there is nothing to go on."""
    if not isinstance(root, Table):
        problem = (
            f"a pipeline file has the keys name, about and stages, but this is {kind_of(root)}"
        )
        found.append(Complaint(root.place, problem))
        return None
    for entry in root.entries:
        if entry.key not in _TOP:
            remedy = did_you_mean(entry.key, _TOP, heading="Keys")
            if isinstance(entry.value, Table) and any(map(entry.value.get, KINDS)):
                remedy = "if it is a stage, indent it below 'stages:'"
            problem = f"a pipeline file has no key '{shortened(entry.key)}'"
            found.append(Complaint(entry.place, problem, remedy))
    name, name_place = _name(root, file, found)
    about = _about(root, found)
    subject = Subject("", "a pipeline", Place(file))
    settings = validate(PipelineSettings, root.only(frozenset(_OF_ALL)), subject, found=found)
    stages = root.get("stages")
    if stages is None:
        remedy = "add 'stages:' and below it one entry for each stage"
        found.append(Complaint(Place(file), "the pipeline has no stages", remedy))
        return None
    if not isinstance(stages.value, Table) or not stages.value.entries:
        problem = f"'stages' must name at least one stage, but it is {kind_of(stages.value)}"
        found.append(Complaint(stages.place, problem, "below it, write 'id: {source: ...}'"))
        return None
    read = [_stage(entry, changes, found) for entry in stages.value.entries]
    specs = {spec.id: spec for spec in read if spec}
    ids = tuple(entry.key for entry in stages.value.entries)
    settings = settings or PipelineSettings.model_validate({})
    return PipelineSpec(name, name_place, about, specs, ids, settings)


def _name(root: Table, file: str, found: list[Complaint]) -> tuple[str, Place]:
    entry = root.get("name")
    if entry is None:
        remedy = "add 'name: ...'; it becomes a part of its MQTT topics"
        found.append(Complaint(Place(file), "the pipeline has no name", remedy))
        return "", Place(file)
    value = entry.value
    if not isinstance(value, Scalar) or not value.text:
        problem = f"the name of the pipeline must be text, but it is {kind_of(value)}"
        found.append(Complaint(value.place, problem))
        return "", value.place
    if wrong := problem_with(value.text):
        found.append(Complaint(value.place, *wrong))
    return value.text, value.place


def _about(root: Table, found: list[Complaint]) -> str:
    entry = root.get("about")
    if entry is None:
        return ""
    if isinstance(entry.value, Scalar):
        return entry.value.text
    found.append(Complaint(entry.value.place, f"'about' must be text, not {kind_of(entry.value)}"))
    return ""


def _stage(entry: Entry, changes: Sequence[Change], found: list[Complaint]) -> StageSpec | None:
    wrong = problem_with(entry.key)
    if wrong:
        found.append(Complaint(entry.place, *wrong))
    if not isinstance(entry.value, Table):
        problem = f"stage '{shortened(entry.key)}' must hold keys, but it is {kind_of(entry.value)}"
        found.append(Complaint(entry.place, problem, "write 'source: camera', or another plugin"))
        return None
    table = entry.value.merged([c.entry for c in changes if c.stage == entry.key])
    chosen = _kind(entry, table, found)
    if chosen is None:
        return None
    kind, plugin = chosen
    keys = frozenset(keys_of(kind))
    _refuse_keys_of_other_kinds(entry.key, kind, table, found)
    owner = f"{kind} '{plugin.text}'"
    settings = validate(
        SETTINGS[kind],
        table.only(keys - {"variants", "bundle"}),
        Subject(f"stage '{entry.key}'", owner, entry.place),
        found=found,
    )
    return StageSpec(
        entry.key,
        entry.place,
        kind,
        plugin.text,
        plugin.place,
        table,
        settings or SETTINGS[kind].model_validate({}),
    )


def _kind(entry: Entry, table: Table, found: list[Complaint]) -> tuple[Kind, Scalar] | None:
    """Of what kind a stage is, and the name of its plugin."""
    given = [(kind, named) for kind in KINDS if (named := table.get(kind))]
    if len(given) != 1:
        what = "does not say what it is" if not given else "says twice what it is"
        place = given[1][1].place if given else entry.place
        problem = f"stage '{shortened(entry.key)}' {what}"
        remedy = f"it needs one of the keys {', '.join(KINDS)}"
        found.append(Complaint(place, problem, remedy if given else _meant(table) or remedy))
        return None
    [(kind, named)] = given
    value = named.value
    if not isinstance(value, Scalar) or not value.text:
        problem = f"'{kind}' must be the name of a plugin, but it is {kind_of(value)}"
        found.append(Complaint(value.place, problem))
        return None
    return kind, value


def _meant(table: Table) -> str:
    """What to write where a key was to name a plugin, such as 'sorce' or 'output:mqtt'."""
    for entry in table.entries:
        word, colon, _ = entry.key.partition(":")
        near = nearest(word, KINDS)
        if near and colon:
            return f"write '{near}: ...', with a space after the ':'"
        if near:
            return f"'{shortened(entry.key)}': did you mean '{near}'?"
    return ""


def _refuse_keys_of_other_kinds(
    stage: str, kind: Kind, table: Table, found: list[Complaint]
) -> None:
    allowed = {*KINDS, *keys_of(kind)}
    for entry in table.entries:
        if entry.key in reserved(kind) - allowed:
            others = [f"{other} stages" for other in KINDS if entry.key in keys_of(other)]
            belongs = " and ".join(others)
            problem = f"'{entry.key}' belongs to {belongs}, and '{stage}' is none"
            found.append(Complaint(entry.place, problem, "remove it"))
