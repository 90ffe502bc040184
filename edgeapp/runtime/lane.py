"""A lane: stages fused on one thread, called directly, one after the other.

A node hands what its stage made of a burst to its consumers, in YAML order. Where the plan cuts,
the consumer is a link into another lane.
"""

import threading
from collections.abc import Callable, Iterator

from edgeapp.core.link import AnyPacket, Inbox, Link
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.runtime.model_slot import Gate
from edgeapp.runtime.slot import Slot

MakeSlot = Callable[[StagePlan], Slot]
MakeGate = Callable[[StagePlan], Gate | None]


class Node:
    """A stage within a lane, and what reads it."""

    def __init__(self, slot: Slot, gate: Gate | None) -> None:
        self.slot = slot
        self.gate = gate
        self.consumers: list[Node | Outlet] = []

    def push(self, burst: list[AnyPacket]) -> None:
        """Answer a burst and hand the answers on."""
        if self.gate is not None:
            passed = self.gate.passed(burst)
            self.slot.meters.taken += len(burst) - len(passed)
            self.slot.meters.shed += len(burst) - len(passed)
            if not passed:
                self.idle()
                return
            burst = passed
        # Of what takes long, the first answer must not wait for those behind it.
        alone = len(burst) > 1 and self.slot.one_by_one
        for part in [[packet] for packet in burst] if alone else (burst,):
            out = self.slot.handle(part)
            if out:
                for consumer in self.consumers:
                    consumer.push(out)

    def idle(self) -> None:
        """No packet comes here: let every stage behind see to what it does beside them."""
        self.slot.idle()
        for consumer in self.consumers:
            consumer.idle()

    def flush(self) -> None:
        """The stream ended: let every stage hand on what it holds, upstream first."""
        out = self.slot.wind_up()
        for consumer in self.consumers:
            if out:
                consumer.push(out)
            consumer.flush()


class Outlet:
    """The end of a lane: a link into another one."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def push(self, burst: list[AnyPacket]) -> None:
        """Hand a burst over, as `when_full` says."""
        for packet in burst:
            self.link.put(packet)

    def idle(self) -> None:
        """The lane behind sees by itself that no packet comes."""

    def flush(self) -> None:
        """Nothing more will come."""
        self.link.close()


class Lane:
    """What one thread runs: the stages directly behind a source or a cut."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.roots: list[Node | Outlet] = []
        self.nodes: list[Node] = []

    def open(self, stopping: threading.Event) -> None:
        """Open every stage, the last ones first; no more once it stops. On the lane's thread."""
        for node in reversed(self.nodes):
            if stopping.is_set():
                return
            node.slot.open()

    def close(self) -> None:
        """Close every stage, the first ones first. On the lane's own thread."""
        for node in self.nodes:
            node.slot.close()

    def idle(self) -> None:
        """No packet came for a while. On the lane's own thread."""
        for node in self.nodes:
            node.slot.idle()

    def slots(self) -> list[Slot]:
        """Where its stages sit."""
        return [node.slot for node in self.nodes]

    def push(self, burst: list[AnyPacket]) -> None:
        """Answer a burst, all the way through."""
        for root in self.roots:
            root.push(burst)

    def entry(self) -> Callable[[list[AnyPacket]], None]:
        """The shortest way to do what `push` does, once the lane is built."""
        return self.roots[0].push if len(self.roots) == 1 else self.push

    def flush(self) -> None:
        """The stream ended."""
        for root in self.roots:
            root.flush()


Fed = tuple[Inbox, dict[Link, Node], Lane]
"""A lane behind a cut: its inbox, which node reads which link, and the lane."""


class Lanes:
    """All lanes of a plan: those run by a source, those fed by a link, and the hands."""

    def __init__(self, plan: Plan, make_slot: MakeSlot, make_gate: MakeGate, *, cuts: bool) -> None:
        self._plan = plan
        self._make_slot = make_slot
        self._make_gate = make_gate
        self._cuts = cuts
        self.of_source: dict[str, Lane] = {}
        """By id of the source; the source's own thread or, for a live one, its lane thread."""
        self.fed: list[Fed] = []
        """Lanes behind a cut: their inbox, which node reads which link, and the lane."""
        self.links: dict[tuple[str, str], Link] = {}
        """By id of the stage before the link and of the one behind it."""
        self._behind: dict[str, Fed] = {}  # by id of the stage behind the cut; "": the hands
        self._nodes: dict[str, Node] = {}
        for source in plan.sources:
            lane = Lane(f"{plan.name}/{source.id}")
            self.of_source[source.id] = lane
            for consumer in source.consumers:
                lane.roots.append(self._reader(source.id, consumer, lane))

    def _reader(self, read: str, stage_id: str, lane: Lane) -> Node | Outlet:
        stage = self._plan.stages[stage_id]
        if not self._cuts or stage.cut == "none":
            return self._node(stage, lane)
        inbox, nodes, own = self._behind_cut(stage)
        assert stage.link is not None, "the plan gives every cut a link"
        link = self.links[read, stage_id] = inbox.link(stage.link)
        node = nodes[link] = self._node(stage, own)
        if node not in own.roots:
            own.roots.append(node)
        return Outlet(link)

    def _behind_cut(self, stage: StagePlan) -> "Fed":
        hands = stage.cut == "hands"
        key = "" if hands else stage.id
        if key not in self._behind:
            name = "hands" if hands else stage.id
            self._behind[key] = (Inbox(), {}, Lane(f"{self._plan.name}/{name}"))
            self.fed.append(self._behind[key])
        return self._behind[key]

    def _node(self, stage: StagePlan, lane: Lane) -> Node:
        """The one node of a stage, also where it reads several."""
        node = self._nodes.get(stage.id)
        if node is None:
            node = self._nodes[stage.id] = Node(self._make_slot(stage), self._make_gate(stage))
            lane.nodes.append(node)
            for consumer in stage.consumers:
                node.consumers.append(self._reader(stage.id, consumer, lane))
        return node

    def slots(self) -> Iterator[Slot]:
        """Every slot behind a source."""
        for lane in (*self.of_source.values(), *(lane for _, _, lane in self.fed)):
            yield from lane.slots()
