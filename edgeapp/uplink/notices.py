"""What the device itself says, beside the results of its pipelines.

The Structs are the contract, as those of `outputs.bodies` are for results; sealing adds the
envelope. Topics are below `<prefix>/<device>/`.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgeapp.core.message import Priority
from edgeapp.uplink.wire import MessageId

Count = Annotated[int, Meta(ge=0)]
Name = Annotated[str, Meta(min_length=1)]


class Notice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of its own follow; none is shared."""


class GapNotice(Notice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topic `gap`: messages that were taken in and had to be dropped. Nothing else is missing."""

    schema: Literal["edgeapp/gap/1"]
    reason: Literal["full", "expired", "disk"]
    """The outbox was full; they outlived their time; the disk was lost, and them with it."""
    priority: Priority
    """Their class."""
    count: Annotated[int, Meta(ge=1)]
    first: MessageId
    """Id of the first one of them."""
    last: MessageId
    """Id of the last one of them. Those of other classes in between are not missing."""


class OutboxNotice(Notice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topic `outbox`, retained: how well messages are kept."""

    schema: Literal["edgeapp/outbox/1"]
    store: Literal["disk", "memory"]
    """Where messages wait. In memory they are lost with the power."""
    problem: str
    """Why they are not on the disk though they should be."""
    dead: Count
    """Messages that the broker refused for good, kept aside."""


class PipelineNotice(Notice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topic `<pipeline>/state`, retained: what a pipeline does."""

    schema: Literal["edgeapp/pipeline/1"]
    pipeline: Name
    state: Literal[
        "starting", "running", "waiting", "stuck", "paused", "failed", "finished", "stopped"
    ]
    why: str
    """Where it is not running, and there is a reason."""


class VariantNotice(Notice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topic `<pipeline>/<stage>/variant`, retained: which model a stage uses."""

    schema: Literal["edgeapp/variant/1"]
    pipeline: Name
    stage: Name
    variant: Name
    rung: Count
    """Its position on the ladder; 0 is the best."""
    divisor: Count
    """One packet of so many is answered; 0: none, for want of cool, power or time."""
    pinned: bool
    """Somebody holds it there."""


class SettingsNotice(Notice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topic `<pipeline>/<stage>/settings`, retained: the options that can be changed live."""

    schema: Literal["edgeapp/settings/1"]
    pipeline: Name
    stage: Name
    values: dict[str, float | int | bool | str | None]


class GovernedStage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a governor wants of a model stage."""

    pipeline: Name
    stage: Name
    variant: Name
    rung: Count
    divisor: Count
    """One packet of so many is answered; 0: none."""


class GovernorNotice(Notice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topic `governor/state`, retained: how the device bears heat, power and load, and what is done.

    What is null is unknown.
    """

    schema: Literal["edgeapp/governor/1"]
    level: Literal["nominal", "fair", "serious", "critical"]
    """Fair: near a limit, or below the best because of it. Serious: at the floor, or slowed down by the
    hardware. Critical: too hot at the floor, or nothing is known of the heat under high load."""
    reason: str
    """Why this, in words."""
    binding: Literal[
        "none",
        "heat_30s",
        "heat_300s",
        "cpu",
        "latency",
        "power",
        "battery",
        "memory",
        "undervoltage",
        "sensors",
        "fault",
    ]
    """What forbids to do more. Fault: the watchdog itself does not work, and all models are on their
    cheapest variants."""
    infeasible: bool
    """Even the least that can be done is too hot, or too much."""
    detectors: tuple[str, ...]
    """What is found to be wrong, such as throttling, contention or pressure."""
    die_c: float | None
    headroom: float | None
    """Of the die temperature that is forecast in 30 s: 1 where the hardware slows down, 0 at 30 K
    below it."""
    trip_in_s: float | None
    """Until the hardware slows down if nothing is changed; null also where it will not."""
    forecast_30s_c: float | None
    forecast_300s_c: float | None
    cores_allowed: float
    """What all pipelines may use together."""
    cores_chosen: float
    """What they are expected to use."""
    utility: float
    """What the answers are worth, of the best that all pipelines could give."""
    stages: tuple[GovernedStage, ...]
    """What is chosen for each model stage."""
    paused: tuple[Name, ...]
    """Pipelines that are paused because of it."""
    next_best: str
    """The combination that would have come next, in words."""
    swap_price: float
    swaps_last_h: Count
    trust: dict[str, float]
    """In each temperature sensor, from 0 (left out) to 1."""


class Signal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that a device may say of itself."""

    name: Name
    found: bool
    """Whether this device says it."""
    where: str
    """The files or sensors that it comes from."""
    note: str


class CostsOf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of the costs of a pipeline with models."""

    pipeline: Name
    measured: bool
    """On this device, with these models."""
    problem: str
    """Why not, and what to do."""


class SignalsNotice(Notice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topic `governor/signals`, retained: what the watchdog can know, and what it acts upon."""

    schema: Literal["edgeapp/signals/1"]
    board: str
    """The kind of board that learning starts from."""
    calibrated: bool
    """Whether it starts from what `edgeapp calibrate` learned of this very device."""
    trip_c: float
    """Die temperature at which the hardware slows down."""
    trip_from: Literal["device file", "kernel", "board"]
    """Who says so."""
    acts_on: tuple[str, ...]
    """Such as heat, power, undervoltage, load, latency, battery or memory; none: it only looks."""
    signals: tuple[Signal, ...]
    costs: tuple[CostsOf, ...]


HealthWord = Literal["well", "ill", "starting", "safe"]


class SilenceNotice(Notice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topic `<pipeline>/<stage>/silent`, retained: whether a live source gives nothing.

    Said at each edge. While its pipeline is paused or has ended, nothing is expected of a source.
    """

    schema: Literal["edgeapp/silence/1"]
    pipeline: Name
    stage: Name
    """The source."""
    silent: bool
    gap_s: float
    """How long it had given nothing when it fell silent, or until it came back; 0: it never did."""
    count: Count
    """How often it fell silent since the start: who missed an edge sees it here."""


class Loss(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Packets that a stage let go though they were wanted."""

    stage: Name
    reason: str
    """`lost`: a source says that its device lost them before they came in."""
    packets: Count
    """Since the start of the process."""
    last_min: Count
    """Of these, in the last minute."""


class ModelHealth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model stage does."""

    stage: Name
    variant: Name
    rung: Count
    divisor: Count
    pinned: bool


class FaultHealth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stage raised last."""

    stage: Name
    said: str
    ago_s: float
    """Before `time`."""
    count: Count
    """Faults of all stages of the pipeline, since the start of the process."""


class PipelineHealth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a pipeline is."""

    pipeline: Name
    state: Literal[
        "starting", "running", "waiting", "stuck", "paused", "failed", "finished", "stopped"
    ]
    why: str
    rate_hz: float
    """Answers each second over the last minute, of `stage`."""
    age_p50_ms: float | None
    """How old packets were when the model had answered them, over the last minute; without a model,
    when actions and outputs had. Null: nothing was."""
    age_p99_ms: float | None
    stage: str
    """Whose rate it is: the last model, else the last transform, else a source."""
    models: tuple[ModelHealth, ...]
    losses: tuple[Loss, ...]
    last_fault: FaultHealth | None
    silent: tuple[Name, ...]
    """Live sources that give nothing."""


class HealthNotice(Notice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topic `health`, retained: how the device is, in one look."""

    schema: Literal["edgeapp/health/1"]
    health: HealthWord
    """Ill: a pipeline has failed or is stuck. Safe: the device does without its pipelines."""
    why: str
    """Of `ill` and `safe`; else what there is to say, such as that the last good configuration runs."""
    since_s: float
    """For how long before `time` that is so."""
    up_s: float
    """For how long before `time` the process runs."""
    version: str
    pipelines: tuple[PipelineHealth, ...]
    """At most 32."""


class OnLastGood(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pipeline that does not run what its file says, but what it said when all was well."""

    pipeline: Name
    file: Name
    """Its name, without the folder."""
    why: str
    """What is wrong with the file, or how its pipeline fared."""


class ConfigNotice(Notice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topic `config`, retained: how what runs differs from what is written.

    All is well where `refused` and `last_good` are empty and `restart_needed` is false.
    """

    schema: Literal["edgeapp/config/1"]
    refused: str
    """Why the last reload changed nothing; empty: it did what it was asked for, or there was none."""
    last_good: tuple[OnLastGood, ...]
    """At most 32."""
    restart_needed: bool
    """The device file, or one of `conf.d`, is another than the one that was read at the start."""


class ReplyNotice(Notice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The response topic of a command, else topic `reply`: what became of it."""

    schema: Literal["edgeapp/reply/1"]
    command: str
    """Its topic, below `<prefix>/<device>/`; empty: several that were not even looked at."""
    ok: bool
    said: str
    """What was done, or why not."""


NOTICES: Mapping[str, type[Notice]] = {
    "gap": GapNotice,
    "outbox": OutboxNotice,
    "pipeline": PipelineNotice,
    "variant": VariantNotice,
    "settings": SettingsNotice,
    "governor": GovernorNotice,
    "signals": SignalsNotice,
    "health": HealthNotice,
    "silence": SilenceNotice,
    "config": ConfigNotice,
    "reply": ReplyNotice,
}
"""By name; the schema of each is "edgeapp/<name>/1"."""
