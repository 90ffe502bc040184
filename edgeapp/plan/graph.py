"""The plan: a checked pipeline, before anything opens. Built by `edgeapp.plan.load`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from edgeapp.core.link import LinkSettings
from edgeapp.core.message import Priority
from edgeapp.core.plugin import SINKS, Options, Plugin
from edgeapp.rules.rule import Rule
from edgeapp.rules.term import Term

Cut = Literal["none", "lane", "hands"]
"""What stands before a stage: nothing (fused), a link into a lane of its own, or into the hands."""

_UNREAD = "no stage reads it: only the live view and `edgeapp tap` show what it gives"


@dataclass(frozen=True, slots=True)
class VariantPlan:
    """One model file of a ladder, with the decoder options that belong to it."""

    name: str
    file: Path
    options: Options
    accuracy: float | None = None
    """How good its answers are, 0..1, as the pipeline file says; None: it does not say."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage, checked: its options are valid and its paths absolute."""

    id: str
    plugin: Plugin
    options: Options
    """For a model stage, those of the best variant."""
    reads: tuple[str, ...]
    """Ids of the stages that it reads: none for a source, several only for actions and outputs."""
    consumers: tuple[str, ...]
    """Ids of the stages that read it, in YAML order."""
    cut: Cut = "none"
    link: LinkSettings | None = None
    """The link before this stage; for a live source the one after it. None where there is none."""
    variants: tuple[VariantPlan, ...] = ()
    """The ladder of a model stage, best first."""
    carry: Mapping[str, str] = field(default_factory=dict)
    """Model stages: which output goes back into which input at the next run."""
    deadline_ms: float | None = None
    """Model stages: the greatest age of an answer. Actions and outputs: of what they take."""
    hang_s: float = 30.0
    """A single call that takes longer counts as stuck."""
    silent_s: float | None = None
    """Live sources: having given nothing for so long is told of; 0: never; None: after a time that
    follows from how often it usually gives something."""
    timeout_s: float = 10.0
    """Actions: how long one may take before it counts as overrun."""
    priority: Priority = "normal"
    """Outputs: `class` in YAML."""
    every_s: float = 0.0
    """Outputs: at most one message in this much stream time; 0 = all."""
    on_change: tuple[Term, ...] = ()
    """Outputs: only what differs from the last message in one of these; none = all."""
    ttl_s: float | None = None
    """Outputs: so long after capture a message is of no use any more."""
    when: Rule | None = None
    """Sinks: only packets of which this is true are taken."""
    gate_for: str | None = None
    """Id of the model stage whose rate divisor is applied before this stage."""

    @property
    def upstream(self) -> str | None:
        """The stage that it reads, the first one of several; None for a source."""
        return self.reads[0] if self.reads else None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What `edgeapp check` tells a user about this stage, a sentence each."""
        if self.consumers or self.plugin.kind in SINKS:
            return tuple(self.options.remarks())
        return (*self.options.remarks(), _UNREAD)

    @property
    def live(self) -> bool:
        """Whether it is a source with a device to keep up with."""
        return self.plugin.live(self.options)


@dataclass(frozen=True, slots=True)
class Plan:
    """One pipeline. `stages` has upstream before downstream, and otherwise keeps YAML order."""

    name: str
    about: str
    file: Path | None
    stages: Mapping[str, StagePlan] = field(default_factory=dict)
    weight: float = 1.0
    """How much its answers count beside those of other pipelines."""
    critical: bool = False
    """It is never paused by the watchdog, and its gates never close."""
    grace_s: float = 30.0
    """After a reload it has so long to show that it is well."""

    @property
    def sources(self) -> tuple[StagePlan, ...]:
        """The stages that packets come from."""
        return tuple(s for s in self.stages.values() if not s.reads)

    def without(self, gone: Collection[str]) -> "Plan":
        """The same without some stages that nobody reads."""
        stages = {
            stage.id: replace(
                stage, consumers=tuple(one for one in stage.consumers if one not in gone)
            )
            for stage in self.stages.values()
            if stage.id not in gone
        }
        return replace(self, stages=stages)
