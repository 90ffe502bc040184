"""Whether what a pipeline masks could get past its mask: into a file, or away from the device."""

from collections.abc import Iterator, Mapping

from edgeapp.config.pipeline import PipelineSpec
from edgeapp.core.payload import Image
from edgeapp.core.plugin import Plugin
from edgeapp.errors import Complaint
from edgeapp.plan.payloads import alternatives
from edgeapp.plan.wiring import Wiring

MASK = ("transform", "mask")
DOES: Mapping[str, str] = {"action": "keeps", "output": "sends"}


def past_masks(
    spec: PipelineSpec, wiring: Wiring, plugins: Mapping[str, Plugin]
) -> Iterator[Complaint]:
    """A complaint for each sink that keeps or sends pictures, and reads past the mask of a source.

    Models may look at what is masked elsewhere; nothing may be stored or sent of it.
    """
    masks = {id_ for id_, plugin in plugins.items() if (plugin.kind, plugin.name) == MASK}
    above = {id_: _above(id_, wiring) for id_ in plugins}
    masked = {above[mask][-1]: mask for mask in masks if above[mask]}
    for id_, plugin in plugins.items():
        if plugin.kind not in DOES or Image not in alternatives(plugin.takes):
            continue
        for read in wiring.reads.get(id_, ()):
            way = (read, *above.get(read, ()))
            mask = masked.get(way[-1])
            if mask is not None and masks.isdisjoint(way):
                yield Complaint(
                    spec.stages[id_].place_of("from"),
                    f"'{id_}' {DOES[plugin.kind]} pictures, and reads '{read}' past the mask '{mask}'",
                    f"read '{mask}' or a stage behind it, or take the mask out",
                )


def _above(stage: str, wiring: Wiring) -> tuple[str, ...]:
    """The stages above a stage that others may read, nearest first; the source is the last."""
    chain: list[str] = []
    while reads := wiring.reads.get(stage):
        stage = reads[0]
        chain.append(stage)
    return tuple(chain)
