"""Who reads whom: `from` resolved, and what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeapp.config.pipeline import PipelineSpec, StageSpec
from edgeapp.core.plugin import Kind
from edgeapp.document.tree import Scalar, shortened
from edgeapp.document.words import did_you_mean
from edgeapp.errors import Complaint

SINKS: frozenset[Kind] = frozenset({"action", "output"})


@dataclass(frozen=True, slots=True)
class Wiring:
    """The edges of a pipeline, as far as they are right."""

    upstream: Mapping[str, str]
    """For each stage the one that it reads; sources and mistakes are missing."""
    order: tuple[str, ...]
    """Ids, upstream before downstream, otherwise as in the file."""

    def consumers(self, stage: str) -> tuple[str, ...]:
        """Who reads a stage, in the order of the file where it can be."""
        return tuple(reader for reader in self.order if self.upstream.get(reader) == stage)


def wire(spec: PipelineSpec, found: list[Complaint]) -> Wiring:
    """Resolve every `from`; mistakes go to `found`."""
    upstream = {}
    for stage in spec.stages.values():
        read = _upstream_of(stage, spec, found)
        if read is not None:
            upstream[stage.id] = read
    for chain in _cycles(upstream):
        stage = spec.stages[chain[0]]
        arrows = " → ".join([chain[0], *reversed(chain)])  # the way that packets would go
        found.append(
            Complaint(
                stage.place_of("from"),
                f"these stages read each other in a circle: {arrows}",
                "let one of them read a stage outside the circle",
            )
        )
        for member in chain:
            del upstream[member]
    if not any(stage.kind == "source" for stage in spec.stages.values()) and len(
        spec.stages
    ) == len(spec.ids):
        first = next(iter(spec.stages.values()))
        problem = "the pipeline has no source, so nothing would ever happen"
        found.append(Complaint(first.place, problem, "begin with 'source: camera', or another"))
    return Wiring(upstream, _ordered(spec, upstream))


def _upstream_of(stage: StageSpec, spec: PipelineSpec, found: list[Complaint]) -> str | None:
    named = stage.settings.upstream
    entry = stage.table.get("from")
    if stage.kind == "source":
        if entry:
            problem = f"'{stage.id}' is a source and reads no other stage"
            found.append(Complaint(entry.place, problem, "remove 'from'"))
        return None
    if named is not None:
        return _named(stage, named, spec, found)
    if entry is None or (isinstance(entry.value, Scalar) and entry.value.value is None):
        return _above(stage, spec, found)
    return None  # it is no text; that was said already


def _named(stage: StageSpec, named: str, spec: PipelineSpec, found: list[Complaint]) -> str | None:
    entry = stage.table.get("from")
    place = entry.value.place if entry else stage.place
    readable = [
        one.id for one in spec.stages.values() if one.kind not in SINKS and one is not stage
    ]
    if named not in spec.ids:
        problem = f"there is no stage '{shortened(named)}' to read from"
        remedy = did_you_mean(named, readable, heading="Stages")
    elif named == stage.id:
        problem = f"stage '{stage.id}' reads itself"
        remedy = _choose(readable)
    elif named in spec.stages and spec.stages[named].kind in SINKS:
        problem = f"'{named}' is an {spec.stages[named].kind}: it gives nothing to read"
        remedy = _choose(readable)
    else:
        return named if named in spec.stages else None
    found.append(Complaint(place, problem, remedy))
    return None


def _above(stage: StageSpec, spec: PipelineSpec, found: list[Complaint]) -> str | None:
    """The stage above, which is read when nothing else is said."""
    position = spec.ids.index(stage.id)
    if position == 0:
        problem = f"'{stage.id}' stands first, so there is no stage above it to read"
        if len(spec.ids) > 1:
            found.append(Complaint(stage.place, problem, "put a source first, or say 'from: ...'"))
        return None
    above = spec.stages.get(spec.ids[position - 1])
    if above is None:
        return None
    if above.kind not in SINKS:
        return above.id
    readable = [
        one
        for one in spec.ids[:position]
        if one in spec.stages and spec.stages[one].kind not in SINKS
    ]
    problem = (
        f"'{stage.id}' reads the stage above it, but '{above.id}' is an {above.kind}: "
        "it gives nothing to read"
    )
    found.append(Complaint(stage.place, problem, _choose(readable[-1:])))
    return None


def _choose(readable: list[str]) -> str:
    return f"say 'from: {readable[-1]}'" if readable else "say 'from:' and a stage"


def _cycles(upstream: Mapping[str, str]) -> list[list[str]]:
    """Every circle, each once, beginning with the stage that is first in the file."""
    cycles = []
    done: set[str] = set()
    for start in upstream:
        trail: list[str] = []
        stage: str | None = start
        while stage is not None and stage not in done and stage not in trail:
            trail.append(stage)
            stage = upstream.get(stage)
        if stage in trail:
            circle = trail[trail.index(stage) :]
            first = min(circle, key=list(upstream).index)
            at = circle.index(first)
            cycles.append(circle[at:] + circle[:at])
        done.update(trail)
    return cycles


def _ordered(spec: PipelineSpec, upstream: Mapping[str, str]) -> tuple[str, ...]:
    ordered: dict[str, None] = {}
    for stage in spec.stages:
        chain = [stage]
        while (read := upstream.get(chain[-1])) is not None and read not in ordered:
            chain.append(read)
        ordered.update(dict.fromkeys(reversed(chain)))
    return tuple(ordered)
