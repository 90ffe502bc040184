"""Where a pipeline is cut between threads, the queues there, and where a divisor may sit."""

from collections.abc import Iterable, Mapping
from typing import Any

from edgeapp.config.pipeline import StageSettings, StageSpec
from edgeapp.core.link import LinkSettings
from edgeapp.core.payload import Bands, Image
from edgeapp.core.plugin import Plugin
from edgeapp.errors import Complaint
from edgeapp.plan.graph import Cut
from edgeapp.plan.payloads import alternatives
from edgeapp.plan.wiring import Wiring

FRESHEST = LinkSettings(1, "drop_oldest")
"""After a camera: the newest frame is the one that matters."""
SAMPLED = LinkSettings(64, "wait")
"""After any other live source: a signal with holes is worth little."""
HANDS = LinkSettings(16, "drop_newest")
"""Before an action: what the device does is in order, and never holds up the lane."""
LANE = LinkSettings(16, "wait")
"""Before a lane of its own."""


def cut_before(spec: StageSpec, plugin: Plugin) -> Cut:
    """What stands before a stage."""
    if spec.kind == "source":
        return "none"
    if spec.settings.lane == "own" or (plugin.is_async and spec.kind != "action"):
        return "lane"
    return "hands" if spec.kind == "action" else "none"


def lane_of(stage: str, wiring: Wiring, cuts: Mapping[str, Cut]) -> str:
    """The stage at which the lane of a stage begins."""
    while cuts.get(stage, "none") == "none" and (reads := wiring.reads.get(stage)):
        stage = reads[0]
    return stage


def link_of(
    spec: StageSpec, cut: Cut, gives: Any, *, live: bool, found: list[Complaint]
) -> LinkSettings | None:
    """The queue of a stage, if it has one; settings for a queue that is not there go to `found`."""
    if live:
        frames = gives is not None and all(one in {Image, Bands} for one in alternatives(gives))
        return _settled(spec.settings, FRESHEST if frames else SAMPLED)
    if cut != "none":
        return _settled(spec.settings, HANDS if spec.kind == "action" else LANE)
    source = spec.kind == "source"
    for key in ("when_full", "depth"):
        if spec.table.get(key):
            where = "after" if source else "before"
            why = "it has no device to keep up with" if source else "it is called directly"
            problem = f"'{key}' has no effect: there is no queue {where} '{spec.id}', {why}"
            remedy = "remove it" if source else "remove it, or add 'lane: own'"
            found.append(Complaint(spec.place_of(key), problem, remedy))
    return None


def _settled(settings: StageSettings, default: LinkSettings) -> LinkSettings:
    return LinkSettings(settings.depth or default.depth, settings.when_full or default.when_full)


def gates(wiring: Wiring, plugins: Mapping[str, Plugin], carrying: Iterable[str]) -> dict[str, str]:
    """For each stage before which packets may be shed: the model stage that sheds them.

    That is as far upstream of the model as every stage is stateless and read by one stage only.
    Models that carry state need every packet: none is shed before them.
    """
    gates = {}
    whole = _upstream_of(carrying, wiring)
    for id_, plugin in plugins.items():
        if plugin.kind != "model" or id_ in whole:
            continue
        first = id_
        while True:
            above = wiring.reads.get(first, ("",))[0]
            stage = plugins.get(above)
            if (
                stage is None
                or stage.kind != "transform"
                or not stage.stateless
                or len(wiring.consumers(above)) > 1
            ):
                break
            first = above
        gates[first] = id_
    return gates


def _upstream_of(stages: Iterable[str], wiring: Wiring) -> set[str]:
    """These stages, and all that their packets come through."""
    whole: set[str] = set()
    waiting = list(stages)
    while waiting:
        id_ = waiting.pop()
        if id_ not in whole:
            whole.add(id_)
            waiting.extend(wiring.reads.get(id_, ()))
    return whole
