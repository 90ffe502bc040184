"""Who reads whom: `from` resolved, and what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeapp.config.pipeline import PipelineSpec, StageSpec
from edgeapp.core.plugin import SINKS
from edgeapp.document.tree import Listing, Scalar, shortened
from edgeapp.document.words import did_you_mean
from edgeapp.errors import Complaint


@dataclass(frozen=True, slots=True)
class Wiring:
    """The edges of a pipeline, as far as they are right."""

    reads: Mapping[str, tuple[str, ...]]
    """For each stage those that it reads; sources and mistakes are missing."""
    order: tuple[str, ...]
    """Ids, upstream before downstream, otherwise as in the file."""

    def consumers(self, stage: str) -> tuple[str, ...]:
        """Who reads a stage, in the order of the file where it can be."""
        return tuple(reader for reader in self.order if stage in self.reads.get(reader, ()))


def wire(spec: PipelineSpec, found: list[Complaint]) -> Wiring:
    """Resolve every `from`; mistakes go to `found`."""
    reads = {}
    for stage in spec.stages.values():
        read = _reads_of(stage, spec, found)
        if read:
            reads[stage.id] = read
    # Only sinks read several stages, and nobody reads them: they are in no circle.
    for chain in _cycles({id_: read[0] for id_, read in reads.items()}):
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
            del reads[member]
    if not any(stage.kind == "source" for stage in spec.stages.values()) and len(
        spec.stages
    ) == len(spec.ids):
        first = next(iter(spec.stages.values()))
        problem = "the pipeline has no source, so nothing would ever happen"
        found.append(Complaint(first.place, problem, "begin with 'source: camera', or another"))
    return Wiring(reads, _ordered(spec, reads))


def _reads_of(stage: StageSpec, spec: PipelineSpec, found: list[Complaint]) -> tuple[str, ...]:
    named = stage.settings.reads
    entry = stage.table.get("from")
    if stage.kind == "source":
        if entry:
            problem = f"'{stage.id}' is a source and reads no other stage"
            found.append(Complaint(entry.place, problem, "remove 'from'"))
        return ()
    if len(named) > 1 and stage.kind not in SINKS and entry:
        problem = f"'{stage.id}' is a {stage.kind}: only actions and outputs read several stages"
        found.append(Complaint(entry.place, problem, "read one of them"))
        return ()
    if named:
        twice = next((one for one in named if named.count(one) > 1), None)
        if twice is not None and entry:
            problem = f"'{stage.id}' reads '{shortened(twice)}' twice"
            found.append(Complaint(entry.place, problem, "name it once"))
        known = [_named(stage, position, spec, found) for position in range(len(named))]
        return tuple(dict.fromkeys(one for one in known if one is not None))
    if entry is None or (isinstance(entry.value, Scalar) and entry.value.value is None):
        above = _above(stage, spec, found)
        return () if above is None else (above,)
    if isinstance(entry.value, Listing) and not entry.value.items:
        found.append(Complaint(entry.place, "'from' names no stage", "name at least one"))
    return ()  # it is no text; that was said already


def _named(
    stage: StageSpec, position: int, spec: PipelineSpec, found: list[Complaint]
) -> str | None:
    named = stage.settings.reads[position]
    entry = stage.table.get("from")
    place = stage.place
    if entry:
        value = entry.value
        place = value.items[position].place if isinstance(value, Listing) else value.place
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


def _ordered(spec: PipelineSpec, reads: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    ordered: dict[str, None] = {}
    for stage in spec.stages:
        for first in reads.get(stage, ()):
            chain = [first]
            while (above := reads.get(chain[-1])) is not None and above[0] not in ordered:
                chain.append(above[0])
            ordered.update(dict.fromkeys(reversed(chain)))
        ordered[stage] = None
    return tuple(ordered)
