"""How a device is: whether pipelines are well, and what they did over the last minute.

The one source of what is told of it: over MQTT, by `edgeapp status`, as metrics, and to systemd.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from edgeapp import __version__
from edgeapp.core.clock import NS
from edgeapp.core.meters import Histogram
from edgeapp.core.plugin import SINKS
from edgeapp.core.revealed import hidden
from edgeapp.document.render import clean, redacted
from edgeapp.runtime.app import App
from edgeapp.runtime.status import PipelineStatus, StageStatus, State
from edgeapp.service.monitoring.silence import Silence, Silences
from edgeapp.uplink.notices import (
    FaultHealth,
    HealthNotice,
    HealthWord,
    Loss,
    ModelHealth,
    PipelineHealth,
)

ILL: frozenset[State] = frozenset({"failed", "stuck"})
"""States that a person should look at. A camera that is away is not ours to mend: `waiting` is well."""
NOT_YET: frozenset[State] = frozenset({"starting"})

LOOK_S = 1.0
MINUTE_S = 60.0
SAMPLE_S = 10.0
"""How often the counters of the last minute are noted."""
AGES_S = 5.0
"""How often ages are worked out."""
MOST_PIPELINES = 32
MOST_REASONS = 16
"""Of one stage: plugins name the reasons for which they refuse packets, and may invent them."""
OTHER = "other"
LOST = "lost"
"""The reason of what a source's device lost before it came in."""
_MOST_LOSSES = 16
_MOST_MODELS = 16
_LONGEST = 300
_LONGEST_REASON = 40

Ages = tuple[float | None, float | None]
"""The median and the 99th percentile, in milliseconds."""
SilenceOf = Mapping[tuple[str, str], Silence]


def is_well(status: PipelineStatus) -> bool:
    """Whether a pipeline does what it is meant to."""
    return status.state not in ILL | NOT_YET


def all_well(statuses: Iterable[PipelineStatus]) -> bool:
    """Whether all of them do."""
    return all(map(is_well, statuses))


def losses_of(stage: StageStatus, *, lost: bool = True) -> dict[str, int]:
    """Packets that a stage let go though they were wanted, by reason; few reasons, and short."""
    found: dict[str, int] = {LOST: stage.lost} if lost and stage.lost else {}
    dropped = [(reason, count) for reason, count in tuple(stage.dropped.items()) if count]
    for place, (reason, count) in enumerate(dropped):  # the first ones stay the first ones
        name = _reason(reason) if place < MOST_REASONS else OTHER
        found[name] = found.get(name, 0) + count
    return found


@lru_cache(maxsize=256)
def _reason(reason: str) -> str:
    return clean(hidden(reason)[: 4 * _LONGEST_REASON])[:_LONGEST_REASON]


def _told(text: str) -> str:
    """Text of unknown origin. What is secret goes first: half of it would not be recognised."""
    return redacted(hidden(text)[: 4 * _LONGEST])[:_LONGEST]


def answering(pipeline: PipelineStatus) -> StageStatus | None:
    """The stage whose rate is the pipeline's: the last model, else the last transform or source.

    None: it has no stages.
    """
    for kinds in ({"model"}, {"transform"}, {"source"}):
        for stage in reversed(pipeline.stages):
            if stage.kind in kinds:
                return stage
    return None


class _Counts(NamedTuple):
    """What a stage had done at a moment."""

    done: int
    losses: Mapping[str, int]
    age: Histogram


class _Sample(NamedTuple):
    at_ns: int
    runs: Mapping[str, object]
    """The pipelines by name: one that was reloaded counts anew."""
    counts: Mapping[tuple[str, str], _Counts]


class Health:
    """Looks at an application about once a second. On its event loop."""

    def __init__(self, app: App, *, safe: str = "", note: str = "") -> None:
        """Prepare.

        `safe`: why the device does without its pipelines; empty: it does not. `note`: what there is
        to say of one that is well.
        """
        self._app = app
        self._safe = safe
        self._note = note
        self._now_ns = app.kit.clock.now_ns
        self._began_ns = self._now_ns()
        self._word: tuple[str, int] = ("", self._began_ns)  # since when
        self._silences = Silences(app.kit.clock)
        self._samples: deque[_Sample] = deque()
        self._ages: dict[str, tuple[int, object, Ages]] = {}  # when, of which run, what
        self.silences: SilenceOf = {}
        """Of each live source, by pipeline and stage, as it was at the last look."""
        self.notice = self.look()
        """How all is, as of the last look."""

    @property
    def up_s(self) -> float:
        """How long the application has been there."""
        return (self._now_ns() - self._began_ns) / NS

    @property
    def safe(self) -> str:
        """Why the device does without its pipelines; empty: it does not."""
        return self._safe

    async def run(self) -> None:
        """Look about once a second, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def facts(self) -> dict[str, Any]:
        """How all was at the last look, as plain data."""
        facts: dict[str, Any] = msgspec.to_builtins(self.notice)
        del facts["schema"]
        return facts

    def look(self) -> HealthNotice:
        """How all is now. Quick."""
        now_ns = self._now_ns()
        statuses = self._app.status()
        self.silences = self._silences.look(self._app.pipelines)
        sample = self._sample(statuses, now_ns)
        told = tuple(self._pipeline(status, sample) for status in statuses[:MOST_PIPELINES])
        if not self._samples or now_ns - self._samples[-1].at_ns >= SAMPLE_S * NS:
            self._samples.append(sample)
            while len(self._samples) > 2 and now_ns - self._samples[1].at_ns >= MINUTE_S * NS:  # noqa: PLR2004  one before
                self._samples.popleft()
        self._ages = {name: ages for name, ages in self._ages.items() if name in sample.runs}
        word, why = _word(statuses, self._safe)
        why = why or self._note
        if word != self._word[0]:
            self._word = word, now_ns
        self.notice = HealthNotice(
            schema="edgeapp/health/1",
            health=word,
            why=why[:_LONGEST],
            since_s=round((now_ns - self._word[1]) / NS, 1),
            up_s=round((now_ns - self._began_ns) / NS, 1),
            version=__version__,
            pipelines=told,
        )
        return self.notice

    def _sample(self, statuses: Iterable[PipelineStatus], now_ns: int) -> _Sample:
        counts = {
            (status.name, stage.id): _Counts(stage.done, losses_of(stage), stage.age)
            for status in statuses
            for stage in status.stages
        }
        return _Sample(now_ns, {p.plan.name: p for p in self._app.pipelines}, counts)

    def _before(self, name: str, sample: _Sample) -> _Sample | None:
        """The oldest sample of the last minute in which this very pipeline counted."""
        run = sample.runs.get(name)
        return next((one for one in self._samples if one.runs.get(name) is run), None)

    def _ages_of(
        self, status: PipelineStatus, stage: StageStatus, sample: _Sample, before: _Sample
    ) -> Ages:
        """Every few seconds anew: it takes longer than all the rest."""
        at_ns, run, ages = self._ages.get(status.name, (0, None, (None, None)))
        if run is not sample.runs[status.name] or sample.at_ns - at_ns >= AGES_S * NS:
            run, ages = sample.runs[status.name], _ages(status, stage, before)
            self._ages[status.name] = sample.at_ns, run, ages
        return ages

    def _pipeline(self, status: PipelineStatus, sample: _Sample) -> PipelineHealth:
        name = status.name
        before = self._before(name, sample)
        stage = answering(status)
        rate_hz, p50_ms, p99_ms = 0.0, None, None
        if before is not None and stage is not None and sample.at_ns > before.at_ns:
            done = stage.done - before.counts[name, stage.id].done
            rate_hz = done / (sample.at_ns - before.at_ns) * NS
            p50_ms, p99_ms = self._ages_of(status, stage, sample, before)
        return PipelineHealth(
            pipeline=name,
            state=status.state,
            why=_told(status.why),
            rate_hz=round(rate_hz, 2),
            age_p50_ms=p50_ms,
            age_p99_ms=p99_ms,
            stage="" if stage is None else stage.id,
            models=tuple(_models(status))[:_MOST_MODELS],
            losses=_losses(status, before),
            last_fault=_last_fault(status, sample.at_ns),
            silent=tuple(
                id_ for (of, id_), now in self.silences.items() if of == name and now.silent
            ),
        )


def _word(statuses: Iterable[PipelineStatus], safe: str) -> tuple[HealthWord, str]:
    if safe:
        return "safe", safe
    statuses = tuple(statuses)
    ill = [f"{status.name} {_being(status.state)}" for status in statuses if status.state in ILL]
    if ill:
        return "ill", "; ".join(ill)
    if any(status.state in NOT_YET for status in statuses):
        return "starting", ""
    return "well", ""


def _being(state: State) -> str:
    return "is stuck" if state == "stuck" else f"has {state}"


def _ages(status: PipelineStatus, stage: StageStatus, before: _Sample) -> Ages:
    """Of a model's answers; where there is none, of what all sinks answered."""
    measured = [stage] if stage.kind == "model" else _sinks(status)
    counts = [0] * len(stage.age.counts)
    for one in measured:
        recent = one.age.since(before.counts[status.name, one.id].age)
        counts = [a + b for a, b in zip(counts, recent.counts, strict=True)]
    ages = Histogram(counts)
    return _rounded(ages.percentile_ms(50)), _rounded(ages.percentile_ms(99))


def _sinks(status: PipelineStatus) -> list[StageStatus]:
    return [stage for stage in status.stages if stage.kind in SINKS]


def _rounded(age_ms: float | None) -> float | None:
    return None if age_ms is None else round(age_ms, 1)


def _models(status: PipelineStatus) -> Iterator[ModelHealth]:
    for stage in status.stages:
        if stage.setting is not None and stage.variant is not None:
            yield ModelHealth(
                stage=stage.id,
                variant=stage.variant,
                rung=stage.setting.rung,
                divisor=stage.setting.divisor,
                pinned=stage.pinned,
            )


def _losses(status: PipelineStatus, before: _Sample | None) -> tuple[Loss, ...]:
    """The greatest ones."""
    found = []
    for stage in status.stages:
        then = {} if before is None else before.counts[status.name, stage.id].losses
        for reason, count in losses_of(stage).items():
            last_min = count - then.get(reason, 0)
            found.append(Loss(stage=stage.id, reason=reason, packets=count, last_min=last_min))
    found.sort(key=lambda loss: -loss.packets)
    return tuple(found[:_MOST_LOSSES])


def _last_fault(status: PipelineStatus, now_ns: int) -> FaultHealth | None:
    faults = [(s.last_fault, s.id) for s in status.stages if s.last_fault is not None]
    if not faults:
        return None
    last, stage = max(faults, key=lambda fault: fault[0].at_ns)
    return FaultHealth(
        stage=stage,
        said=_told(last.said),
        ago_s=round(max(0, now_ns - last.at_ns) / NS, 1),
        count=sum(s.faults for s in status.stages),
    )
