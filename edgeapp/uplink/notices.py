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
    "reply": ReplyNotice,
}
"""By name; the schema of each is "edgeapp/<name>/1"."""
