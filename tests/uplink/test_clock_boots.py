"""Messages wait on the disk through restarts of a device without a battery for its clock."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edgeapp.core.clock import NS, FakeClock
from edgeapp.core.message import Message
from edgeapp.uplink.durable_outbox import DurableOutbox
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer
from tests.uplink.parts import ListLog

TRUTH = datetime(2027, 1, 15, 8, tzinfo=UTC)
"""When the story begins."""
TEN_YEARS_NS = 315_576_000 * NS


class Boot:
    """A device from power on to power off: its clock begins at zero, its calendar anywhere."""

    def __init__(self, number: int, began_ns: int, folder: Path, chance: random.Random) -> None:
        self.name = f"boot-{number}"
        self.began_ns = began_ns
        self.clock = FakeClock()
        self.synced = False
        self.was_synced = False
        self._chance = chance
        self._wrong_ns = 0
        self.step_clock()
        self.wall = WallClock(
            self.clock,
            boot=self.name,
            wall_ns=lambda: _ns(TRUTH) + self.truth_ns() + self._wrong_ns,
            synchronised=lambda: self.synced,
        )
        self.outbox = DurableOutbox(
            folder, run=number, clock=self.clock, wall=self.wall, log=ListLog(), device="dev"
        )
        self.sealer = Sealer("dev", number, self.wall)

    def truth_ns(self) -> int:
        """Since the story began."""
        return self.began_ns + self.clock.now_ns()

    def step_clock(self) -> None:
        self._wrong_ns = self._chance.randrange(-TEN_YEARS_NS, TEN_YEARS_NS)
        self.synced = False

    def ntp(self) -> None:
        self._wrong_ns, self.synced, self.was_synced = 0, True, True

    def passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.outbox.step()

    def take(self) -> list[dict[str, Any]]:
        """All that waits, as it is sent."""
        found = []
        for _ in range(20):
            for entry in self.outbox.take(100) + self.outbox.take_backlog(100):
                sealed = self.sealer.seal(
                    entry.message, entry.key, boot=entry.boot, replay=entry.replay
                )
                found.append(json.loads(sealed))
                self.outbox.settle(entry.key)
            self.outbox.step()
        return found


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * NS


@pytest.mark.parametrize("seed", range(6))
def test_whatever_can_be_known_of_the_time_of_a_message_is_told(seed: int, tmp_path: Path) -> None:
    """Exact where its boot ever had a clock, and marked where it never had."""
    chance = random.Random(seed)
    truth_ns, taken = 0, {}
    boots = []
    for number in range(1, 5):
        boot = Boot(number, truth_ns, tmp_path, chance)
        boots.append(boot)
        ntp_at = chance.choice((None, None, 3, 12))
        for n in range(15):
            boot.passes(chance.uniform(0.5, 9.0))
            if n == ntp_at:
                boot.ntp()
            elif chance.random() < 0.4:
                boot.wall.offset()  # as somebody asks now and then
                boot.step_clock()
            boot.outbox.put(Message("p/s", b'{"n":%d}' % n, boot.clock.now_ns()))
            taken[number, n] = boot.truth_ns(), boot
        boot.passes(61.0)
        assert boot.outbox.close() == 0
        truth_ns = boot.truth_ns() + round(chance.uniform(20.0, 500_000.0)) * NS
    last = Boot(5, truth_ns, tmp_path, chance)
    boots.append(last)
    last.passes(5.0)
    last.ntp()
    last.passes(5.0)
    last.outbox.divide()

    said = last.take()

    assert [_number(message) for message in said] == sorted(taken)
    for message in said:
        at_ns, boot = taken[_number(message)]
        assert message["replay"] is True
        if boot.was_synced:
            right = TRUTH + timedelta(milliseconds=at_ns // 1_000_000)
            assert message["clock"] == "synced"
            assert datetime.fromisoformat(message["time"]) == right
            assert message["age_ms"] == round((last.truth_ns() - at_ns) / 1e6, 1)
            assert "boot" not in message
        else:
            assert (message["clock"], message["boot"]) == ("unsynced", boot.name)
            assert message["age_ms"] is None
            assert message["up_ms"] == round((at_ns - boot.began_ns) / 1e6, 1)
    last.outbox.close()


def test_times_to_live_go_on_while_a_device_is_off(tmp_path: Path) -> None:
    """Where that can be known; else a message is sent rather than dropped too early."""
    chance = random.Random(1)
    known = Boot(1, 0, tmp_path, chance)
    known.ntp()
    known.outbox.put(Message("p/s", b'{"n":1}', 0, ttl_s=3600.0))
    known.outbox.put(Message("p/s", b'{"n":2}', 0, ttl_s=20.0))
    known.passes(10.0)
    known.outbox.close()
    unknown = Boot(2, 100 * NS, tmp_path, chance)
    unknown.outbox.put(Message("p/s", b'{"n":3}', 0, ttl_s=20.0))
    unknown.passes(10.0)
    unknown.outbox.close()
    last = Boot(3, 1000 * NS, tmp_path, chance)
    last.ntp()
    last.passes(5.0)
    last.outbox.divide()

    said = [message["n"] for message in last.take() if "n" in message]

    assert said == [1, 3]
    assert last.outbox.statistics().dropped == {"expired": 1}
    last.outbox.close()


def _number(message: dict[str, Any]) -> tuple[int, int]:
    return int(message["id"].split("/")[1]), message["n"]
