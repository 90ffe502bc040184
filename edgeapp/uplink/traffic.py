"""What goes over one connection, from its first packet to its last.

In this order: the status, answers to commands, held states, live messages, and beside them what
waited, at the pace of `replay`. One window bounds all of them. For the event loop only, but for
`asleep`, which any thread may read and clear.
"""

import asyncio
import itertools
import math
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from edgeapp.uplink.connection import Connection, Publication, Refusal
from edgeapp.uplink.held import HeldStates, State
from edgeapp.uplink.outbox import Entry, Outbox
from edgeapp.uplink.refusals import Retries, SeldomLog
from edgeapp.uplink.replay import Rate, ReplayPace
from edgeapp.uplink.suspects import Suspects
from edgeapp.uplink.wire import Sealer, Topics

WINDOW = 20
"""Messages in flight at most, the broker permitting."""
LINGER_S = 0.005
"""Above 1 / LINGER_S messages a second they go in batches, each at most this much later."""
POLL_S = 0.02
"""How often the outbox is asked again while its disk has yet to be read."""
LOOK_S = 1.0
"""How often it is asked for a backlog while there is none."""

Lane = Literal["note", "held", "live", "replay"]


class Parcel(NamedTuple):
    """A message that is ready to be sent, and where it came from."""

    publication: Publication
    lane: Lane
    entry: Entry | None = None
    state: State | None = None

    @property
    def name(self) -> Hashable:
        """What it is known by over connections; None: it is sent but once."""
        if self.entry is not None:
            return self.entry.key
        return self.publication.topic if self.lane == "held" else None


class Flight(NamedTuple):
    """A parcel that was sent and is not yet acknowledged."""

    parcel: Parcel
    sent_s: float


@dataclass(slots=True)
class Lasting:
    """What outlives a connection."""

    topics: Topics
    sealer: Sealer
    outbox: Outbox
    held: HeldStates
    suspects: Suspects
    retries: Retries
    log: SeldomLog
    notes: deque[Publication] = field(default_factory=deque)
    """To be sent now or never."""
    rate: Rate = field(default_factory=Rate)
    replayed: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Trial:
    """The experiment with one suspect, on this connection."""

    name: Hashable
    until_s: float
    step: Literal["control", "probe", "ready", "alone"] = "control"


class Traffic:
    """Sends what waits, and hears what the broker says of it."""

    def __init__(self, connection: Connection, lasting: Lasting) -> None:
        """Begin with an empty window; nothing is sent yet."""
        self.asleep = False
        """Whoever offers a message must call `wake` on the event loop."""
        self.replays = True
        """Whether what waited is sent, too."""
        self.idle = asyncio.Event()
        """Set when nothing is in flight, now and then; to be cleared by whoever waits."""
        self.failed: asyncio.Future[None]
        """Gets the exception that sending ended with."""
        self._loop = asyncio.get_running_loop()
        self.failed = self._loop.create_future()
        self._connection = connection
        self._all = lasting
        self._window = max(1, min(WINDOW, connection.receive_maximum))
        self._pace = ReplayPace(self._window)
        self._flights: dict[int, Flight] = {}
        self._aside: deque[Parcel] = deque()  # made ready, but a suspect comes first
        self._trial: _Trial | None = None
        self._round_trip_s = 0.0
        self._planned: asyncio.TimerHandle | None = None
        self._sent_s = 0.0  # the last live batch
        self._look_s = 0.0  # ask for a backlog from then on
        self._resume_s = 0.0  # the broker has enough until then

    def begin(self) -> None:
        """The connection is made: say so, and send what waits."""
        self._all.outbox.divide()
        self._all.held.all_due()
        self._send([self._status(b"online")])
        self.pump()

    def say_stopped(self) -> None:
        """The last word before a goodbye; without an acknowledgement where the window is full.

        Brokers hang up on a message more than they take, and tell the last will instead.
        """
        status = self._status(b"stopped")
        if len(self._flights) < self._window:
            self._send([status])
        else:
            self._connection.send([status.publication._replace(qos=0)])

    def unsettled(self) -> bool:
        """Whether something is in flight, or waits for it and must not be left."""
        everything = self._all
        if self._flights or self._aside or everything.notes or everything.retries.waiting:
            return True
        if everything.held.any_due():
            return True
        outbox = everything.outbox.statistics()
        return outbox.waiting > (0 if self.replays else outbox.backlog)

    def fits(self, publication: Publication) -> bool:
        """Whether the broker takes packets of that size. Any thread."""
        return publication.most_bytes() <= self._connection.max_packet_bytes

    def wake(self) -> None:
        """Something was offered while nothing was planned: send it, with what follows closely."""
        due_s = self._sent_s + LINGER_S
        if self._loop.time() < due_s:
            self._plan(due_s)
        else:
            self.pump()

    def pump(self) -> None:
        """Send what waits, as far as the window and all else allow."""
        if self._planned is not None:
            self._planned.cancel()
            self._planned = None
        if self.failed.done():
            return
        try:
            self._pump()
        except Exception as error:  # noqa: BLE001  `run` raises it, and is started again
            self.asleep = False
            self.failed.set_exception(error)
            self.idle.set()

    def acknowledged(self, packet_id: int, refusal: Refusal | None) -> None:
        """The broker has answered one packet."""
        flight = self._flights.pop(packet_id, None)
        if flight is None:
            return
        now_s = self._loop.time()
        if not self._round_trip_s:
            self._round_trip_s = now_s - flight.sent_s
        parcel = flight.parcel
        if parcel.lane == "replay":
            self._pace.answered(now_s)
        if self._trial is not None:
            self._tried(parcel)
        elif self._all.suspects.any:
            self._all.suspects.acquit(parcel.name)
        if refusal is None:
            self._taken(parcel, now_s)
        else:
            self._refused(parcel, refusal, now_s)
        if not self._flights:
            self.idle.set()
        if not self.asleep:
            self._plan(now_s)  # other answers may follow in this read: send once
        elif parcel.lane == "replay":
            self._plan_replay(now_s)

    def end(self, *, lost: bool) -> None:
        """The connection is over; `lost`: nobody here wanted that."""
        if self._planned is not None:
            self._planned.cancel()
            self._planned = None
        self.asleep = False
        if not self.failed.done():
            self.failed.cancel()
        if lost:
            self._look_for_suspects()
        self._all.notes.clear()
        self._all.retries.waiting.clear()
        self._all.outbox.give_back()

    # What is sent next

    def _pump(self) -> None:
        began_s = self._loop.time()
        if began_s < self._resume_s:
            self.asleep = False
            self._plan(self._resume_s)
            return
        if self._all.retries.waiting:
            self._wait_again()
        if self._trial is not None:
            self.asleep = False
            self._go_on_with(self._trial, began_s)
            return
        room = self._window - len(self._flights)
        # Set before looking, so that no offer falls between. With a full window nobody needs to
        # wake us: an acknowledgement will.
        self.asleep = room > 0
        if room <= 0:
            return
        resumed = bool(self._aside)
        parcels = self._next(room, began_s)
        if resumed or self._all.suspects.any:
            parcels = self._before_suspects(parcels, began_s)
        if parcels:
            self._send(parcels, began_s)
        if self._aside or self._trial is not None or len(self._flights) >= self._window:
            self.asleep = False
        elif resumed:
            self._plan(began_s)  # they are gone: see what came behind them
        else:
            self._plan_replay(began_s)

    def _next(self, room: int, now_s: float) -> list[Parcel]:
        if self._aside:
            return [self._aside.popleft() for _ in range(min(room, len(self._aside)))]
        everything = self._all
        parcels: list[Parcel] = []
        if everything.notes or everything.held.any_due():
            parcels.extend(itertools.islice(self._notes_and_states(), room))
        if len(parcels) < room:
            entries = everything.outbox.take(room - len(parcels))
            if entries:
                parcels += self._ready(entries)
        if len(parcels) < room:
            parcels += self._backlog(room - len(parcels), now_s)
        return parcels

    def _notes_and_states(self) -> Iterator[Parcel]:
        notes, held = self._all.notes, self._all.held
        while notes:
            yield Parcel(notes.popleft(), "note")
        while (due := held.take_due()) is not None:
            topic, state = due
            publication = self._of_state(topic, state)
            if publication is not None:
                yield Parcel(publication, "held", state=state)

    def _backlog(self, room: int, now_s: float) -> list[Parcel]:
        if not self.replays or now_s < self._look_s or self._pace.wait_s(now_s) > 0:
            return []
        entries = self._all.outbox.take_backlog(min(room, self._pace.burst))
        if not entries:
            reading = self._all.outbox.statistics().backlog > 0
            self._look_s = now_s + (POLL_S if reading else LOOK_S)
        return self._ready(entries)

    def _plan_replay(self, now_s: float) -> None:
        """Come back for the next burst, or to see whether there is something to replay."""
        wait_s = self._pace.wait_s(now_s)
        if self.replays and wait_s < math.inf:
            self._plan(max(now_s + wait_s, self._look_s))

    def _ready(self, entries: Iterable[Entry]) -> list[Parcel]:
        parcels: list[Parcel] = []
        below, sealer = self._all.topics.below, self._all.sealer
        largest = self._connection.max_packet_bytes
        for entry in entries:
            key, message, boot, replay = entry
            topic = below + message.topic
            payload = sealer.seal(message, key, boot=boot, replay=replay)
            extra = sealer.extra(message, key, boot=boot, replay=replay)  # noqa: S610  not Django's
            # An old state must never overwrite a newer one.
            retain = message.retain and not replay and not self._all.held.has_newer(topic, key)
            publication = Publication(topic, payload, retain, extra)
            if publication.most_bytes() > largest:
                self._refuse(entry, "larger than the broker takes")
            else:
                parcels.append(Parcel(publication, "replay" if replay else "live", entry))
        return parcels

    def _of_state(self, topic: str, state: State) -> Publication | None:
        """A held state as it is sent; None: it is of no use any more."""
        if isinstance(state, bytes):
            publication = Publication(topic, state, retain=True)
        else:
            key, message, boot, _ = state
            extra = self._all.sealer.extra(message, key, boot=boot)  # noqa: S610  not Django's
            if extra is not None and extra.expiry_s == 1:  # its last second, or past it
                self._all.held.forget(topic)
                return None
            payload = self._all.sealer.seal(message, key, boot=boot)
            publication = Publication(topic, payload, True, extra)
        if not self.fits(publication):
            self._all.held.forget(topic)
            self._all.log.warning("state not sent: larger than the broker takes", topic=topic)
            return None
        return publication

    def _send(self, parcels: list[Parcel], began_s: float | None = None) -> None:
        ids = self._connection.send([parcel.publication for parcel in parcels])
        now_s = self._loop.time()
        lanes = {"note": 0, "held": 0, "live": 0, "replay": 0}
        for packet_id, parcel in zip(ids, parcels, strict=True):
            self._flights[packet_id] = Flight(parcel, now_s)
            lanes[parcel.lane] += 1
        if lanes["replay"]:
            self._pace.sent(lanes["replay"], now_s if began_s is None else began_s, now_s)
        if lanes["live"]:
            self._sent_s = now_s

    def _status(self, status: bytes) -> Parcel:
        return Parcel(Publication(self._all.topics.status, status, retain=True), "note")

    def _plan(self, when_s: float) -> None:
        """Pump at that time, or earlier where that is planned already."""
        if self._planned is not None:
            if self._planned.when() <= when_s:
                return
            self._planned.cancel()
        self._planned = self._loop.call_at(when_s, self.pump)

    # What the broker said

    def _taken(self, parcel: Parcel, now_s: float) -> None:
        everything = self._all
        entry = parcel.entry
        if entry is None:
            if parcel.state is not None:
                everything.held.done(parcel.publication.topic, parcel.state)
            return
        everything.outbox.settle(entry.key)
        everything.retries.taken(entry.key)
        if entry.replay:
            everything.replayed += 1
            everything.rate.add(now_s)
        if parcel.publication.retain and not everything.held.remember(
            parcel.publication.topic, entry
        ):
            everything.log.warning(
                "state will not be sent again after a reconnect: too many, or too large",
                topic=parcel.publication.topic,
            )

    def _refused(self, parcel: Parcel, refusal: Refusal, now_s: float) -> None:
        entry, retries = parcel.entry, self._all.retries
        if refusal.for_good:
            if entry is not None:
                self._refuse(entry, refusal.reason)
            else:
                self._all.log.warning(
                    "the broker refused a topic of this device",
                    topic=parcel.publication.topic,
                    reason=refusal.reason,
                )
            return
        if entry is None:
            if parcel.state is not None:
                self._all.held.again(parcel.publication.topic)
        elif not retries.again(entry.key):
            self._refuse(entry, refusal.reason)
            return
        if now_s >= self._resume_s:
            pause_s = retries.pause_s()
            self._resume_s = now_s + pause_s
            self._all.log.warning(
                "the broker takes no messages now", reason=refusal.reason, pause_s=pause_s
            )
        self.asleep = False

    def _refuse(self, entry: Entry, reason: str) -> None:
        self._all.outbox.refuse(entry.key, reason)
        self._all.retries.taken(entry.key)
        self._all.refused += 1
        self.idle.set()
        self._all.log.warning(
            "message dropped: the broker refused it",
            run=entry.key.run,
            number=entry.key.number,
            topic=entry.message.topic,
            reason=reason,
        )

    def _wait_again(self) -> None:
        """What was not taken goes back, so that the first of it comes first again."""
        waiting = self._all.retries.waiting
        for key in reversed(waiting):
            self._all.outbox.retry(key)
        waiting.clear()

    # Messages that the broker may hang up on

    def _before_suspects(self, parcels: list[Parcel], now_s: float) -> list[Parcel]:
        """Those that come before the first suspect; it and what follows are set aside.

        Once nothing else is under way, the experiment begins.
        """
        suspects = self._all.suspects
        at = next((n for n, p in enumerate(parcels) if p.name in suspects), None)
        if at is None:
            return parcels
        self._aside.extendleft(reversed(parcels[at:]))
        if at == 0 and not self._flights:
            name = parcels[0].name
            control_s = suspects.control_s(name, self._round_trip_s)
            self._trial = _Trial(name, now_s + control_s)
            self._plan(self._trial.until_s)
        return parcels[:at]

    def _go_on_with(self, trial: _Trial, now_s: float) -> None:
        if trial.step == "control" and now_s < trial.until_s:
            self._plan(trial.until_s)
        elif trial.step == "control":
            trial.step = "probe"
            self._send([self._status(b"online")])
        elif trial.step == "ready":
            trial.step = "alone"
            self._send([self._aside.popleft()])

    def _tried(self, parcel: Parcel) -> None:
        assert self._trial is not None
        if self._trial.step == "probe":
            self._trial.step = "ready"
        elif self._trial.step == "alone":
            self._all.suspects.acquit(parcel.name)
            self._trial = None

    def _look_for_suspects(self) -> None:
        now_s = self._loop.time()
        suspects, trial = self._all.suspects, self._trial
        if trial is None:
            suspects.lost(
                {
                    parcel.name: now_s - sent_s
                    for parcel, sent_s in self._flights.values()
                    if parcel.name is not None
                }
            )
        elif trial.step != "alone":
            suspects.acquit_all()
        else:
            parcel, sent_s = next(f for f in self._flights.values() if f.parcel.name == trial.name)
            if suspects.hung_up(trial.name, now_s - sent_s, self._round_trip_s):
                self._condemn(parcel)

    def _condemn(self, parcel: Parcel) -> None:
        reason = "the broker hangs up on it"
        if parcel.entry is not None:
            self._refuse(parcel.entry, reason)
        else:
            self._all.held.forget(parcel.publication.topic)
            self._all.log.warning(
                "state given up: the broker hangs up on it",
                topic=parcel.publication.topic,
            )
