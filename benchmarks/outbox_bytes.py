"""What the outbox writes to the disk for a message: with a broker, and without one.

Bytes as the system counts them for the journal's thread; the folder must be on a real disk. The
clock is a fake one, so hours pass in seconds; all else is as in the application, syncing included.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.compare import Row
from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Message, Priority
from edgeapp.testing.stage import LogBook
from edgeapp.uplink.durable_outbox import DurableOutbox
from edgeapp.uplink.outbox import OutboxStatistics
from edgeapp.uplink.wall_clock import WallClock

ONLINE_BOUND = 1.0
ONLINE = 100_000
OFFLINE_S = 600
RATE_HZ = 10
BODY = b'{"text":"%b"}' % (b"x" * 270)
ACK_S = 0.05


def _outbox(folder: Path, clock: FakeClock) -> DurableOutbox:
    wall = WallClock(clock, boot="boot", wall_ns=clock.now_ns, synchronised=lambda: True)
    return DurableOutbox(folder, run=1, clock=clock, wall=wall, log=LogBook(), device="dev")


def online(folder: Path) -> OutboxStatistics:
    """Ten messages a second, each acknowledged within a twentieth of one."""
    clock = FakeClock(10**12)
    box = _outbox(folder, clock)
    box.step()
    for _ in range(ONLINE):
        box.put(Message("porch/announce", BODY, clock.now_ns()))
        (entry,) = box.take(1)
        clock.advance(ACK_S)
        box.settle(entry.key)
        clock.advance(1 / RATE_HZ - ACK_S)
        box.step()
    now = box.statistics()
    box.close()
    return now


def offline(folder: Path, priority: Priority) -> OutboxStatistics:
    """Ten messages a second, and no broker."""
    clock = FakeClock(10**12)
    box = _outbox(folder, clock)
    for _ in range(OFFLINE_S * RATE_HZ):
        box.put(Message("porch/announce", BODY, clock.now_ns(), priority))
        clock.advance(1 / RATE_HZ)
        box.step()
    now = box.statistics()
    box.close()
    return now


def rows() -> list[Row]:
    """Measure."""
    made = []
    # Not below /tmp, which may be memory.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as there:
        now = online(Path(there) / "online")
        each = now.bytes_written / now.offered
        made.append(
            Row(
                "disk, online: bytes a message",
                f"<= {ONLINE_BOUND:.0f}",
                f"{each:.2f}",
                each <= ONLINE_BOUND,
                f"{now.bytes_written:,} bytes for {now.offered:,} messages of {len(BODY)}",
            )
        )
        for priority in ("critical", "normal", "bulk"):
            now = offline(Path(there) / priority, priority)
            each = now.bytes_written / now.offered
            day = each * RATE_HZ * 86_400 / 1e9
            made.append(
                Row(
                    f"disk, offline at {RATE_HZ}/s, {priority}: bytes a message",
                    "",
                    f"{each:,.0f}",
                    None,
                    f"{each / len(BODY):.1f} times the message, {day:.2f} GB a day",
                )
            )
    return made


if __name__ == "__main__":
    sys.stdout.writelines(f"{row}\n" for row in rows())
