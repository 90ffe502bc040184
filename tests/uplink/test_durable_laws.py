"""Laws of the durable outbox, whatever happens: nothing is lost, all is counted, order is kept."""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Priority
from edgeapp.uplink.disk.journal import DiskLimits
from edgeapp.uplink.outbox import PRIORITIES, Entry, Key
from tests.uplink.outboxes import FAST, ROOMY, check_sum, drain, kill, message, number_of, outbox

TIGHT = DiskLimits(12_000, 12_000, 12_000, 0)


class Life(RuleBasedStateMachine):
    """A device that loses its broker, its process and its patience, in any order."""

    @initialize(tight=st.booleans(), small=st.booleans())
    def begin(self, tight: bool, small: bool) -> None:
        self.root = Path(tempfile.mkdtemp(dir=FAST if FAST.is_dir() else None))
        self.folder = self.root / "0"
        self.limits = TIGHT if tight else ROOMY
        self.bounds = {"max_messages": 12 if small else 1000, "max_message_bytes": 4_000}
        self.clock = FakeClock(10**12)
        self.run = 1
        self.count = 0
        self.box = outbox(self.folder, self.clock, limits=self.limits, **self.bounds)
        self.safe: dict[int, Priority] = {}  # committed or acknowledged by now
        self.unsure: dict[int, Priority] = {}
        self.gone: set[int] = set()  # acknowledged, or refused
        self.just_gone: set[int] = set()  # and a kill may bring them back
        self.settled: set[int] = set()  # for good
        self.perhaps: set[int] = set()  # it is not known what became of them: there was a kill
        self.keys: dict[int, Key] = {}
        self.dropped: Counter[Priority] = Counter()  # as told by gaps
        self.told: set[Key] = set()
        self.in_flight: dict[Key, Entry] = {}
        self.last: dict[tuple[str, bool], Key] = {}

    @rule(
        priority=st.sampled_from(PRIORITIES),
        size=st.sampled_from((10, 300, 3000)),
        many=st.integers(1, 8),
        retain=st.booleans(),
    )
    def put(self, priority: Priority, size: int, many: int, retain: bool) -> None:
        for _ in range(many):
            self.count += 1
            topic = f"{priority}/{'state' if retain else self.count % 2}"
            self.unsure[self.count] = priority
            self.box.put(
                message(self.count, self.clock, priority, size, topic=topic, retain=retain)
            )

    @rule(limit=st.integers(1, 10))
    def take(self, limit: int) -> None:
        for entry in self.box.take(limit):
            assert not entry.replay
            self.see(entry)

    @rule(limit=st.integers(1, 10))
    def take_backlog(self, limit: int) -> None:
        for entry in self.box.take_backlog(limit):
            assert entry.replay
            self.see(entry)

    def see(self, entry: Entry) -> None:
        assert entry.key not in self.in_flight, entry
        self.in_flight[entry.key] = entry
        if entry.message.topic == "gap":
            if entry.key not in self.told:
                self.told.add(entry.key)
                gap = msgspec.json.decode(entry.message.body)
                assert gap["reason"] == "full"
                first, last = (
                    tuple(map(int, gap[end].split("/")[1:])) for end in ("first", "last")
                )
                assert first <= last
                self.dropped[gap["priority"]] += gap["count"]
            return
        number = number_of(entry)
        assert number not in self.settled, "it was settled, and comes again"
        assert self.keys.setdefault(number, entry.key) == entry.key, "an id was given anew"
        lane = entry.message.topic, entry.replay
        assert self.last.get(lane, Key(0, 0)) < entry.key, "out of order"
        self.last[lane] = entry.key

    @rule(data=st.data(), how=st.sampled_from(("settle", "settle", "settle", "refuse", "retry")))
    def answer(self, data: st.DataObject, how: str) -> None:
        if not self.in_flight:
            return
        key = data.draw(st.sampled_from(sorted(self.in_flight)))
        entry = self.in_flight.pop(key)
        if how == "retry":
            self.box.retry(key)
            self.last.clear()
            return
        if how == "settle":
            self.box.settle(key)
        else:
            self.box.refuse(key, "no")
        if entry.message.topic != "gap":
            self.gone.add(number_of(entry))
            self.just_gone.add(number_of(entry))

    @rule()
    def lose_connection(self) -> None:
        self.box.give_back()
        self.in_flight.clear()
        self.last.clear()

    @rule()
    def connect(self) -> None:
        self.lose_connection()
        self.box.divide()

    @rule(seconds=st.sampled_from((0.1, 1.0, 6.0)))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.box.step()

    @rule()
    def commit(self) -> None:
        self.pass_time(6.0)
        self.safe |= self.unsure
        self.unsure.clear()
        self.settled |= self.just_gone
        self.just_gone.clear()

    @rule()
    def kill(self) -> None:
        there = self.root / str(self.run)
        kill(self.box, self.folder, there)
        self.perhaps |= self.just_gone | set(self.unsure)
        self.restart(there)

    @rule()
    def stop(self) -> None:
        assert self.box.close() == 0
        self.safe |= self.unsure
        self.unsure.clear()
        check_sum(self.box.statistics())
        self.settled |= self.just_gone
        self.restart(self.folder)

    def restart(self, folder: Path) -> None:
        self.folder = folder
        self.run += 1
        self.box = outbox(folder, self.clock, run=self.run, limits=self.limits, **self.bounds)
        self.in_flight.clear()
        self.last.clear()
        self.safe |= self.unsure
        self.unsure.clear()
        self.just_gone.clear()

    @invariant()
    def every_message_is_in_one_place(self) -> None:
        if hasattr(self, "box"):
            now = self.box.statistics()
            check_sum(now)
            assert now.in_flight == len(self.in_flight)
            assert now.problem == ""
            assert now.dropped.get("disk", 0) == 0

    def teardown(self) -> None:
        if not hasattr(self, "box"):
            return
        try:
            self.commit()
            self.lose_connection()
            drained = drain(self.box, self.clock, self.see)
            now = self.box.statistics()
            assert now.waiting == now.in_flight == 0
            assert self.box.close() == 0
            self.gone |= {number_of(entry) for entry in drained if entry.message.topic != "gap"}
            for priority in PRIORITIES:
                ours = {n for n, p in self.safe.items() if p == priority}
                missing = len(ours - self.gone - self.perhaps)
                most = missing + len(ours & self.perhaps)
                told = self.dropped[priority]
                assert missing <= told <= most, f"{priority}: {missing} <= {told} <= {most}"
        finally:
            shutil.rmtree(self.root)


@pytest.mark.slow
def test_whatever_happens_nothing_is_lost_and_all_is_counted() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=300,
            phases=(Phase.generate, Phase.shrink),  # to explain makes every line slow
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
