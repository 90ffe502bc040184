"""Files of the store that are damaged in any way: used as far as possible, or set aside."""

import random
from pathlib import Path

import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Priority
from edgeapp.uplink.outbox import PRIORITIES
from tests.uplink.outboxes import FAST, check_sum, drain, message, number_of, outbox
from tests.uplink.parts import ListLog


def written(folder: Path, clock: FakeClock) -> dict[str, bytes]:
    """The files of an outbox with 300 messages, part of them in the log of the database."""
    box = outbox(folder, clock)
    for n in range(200):
        priority: Priority = PRIORITIES[n % 3]
        box.put(message(n, clock, priority, size=n * 7 % 900, retain=n % 10 == 0))
    clock.advance(6)
    box.step()
    box.close()
    box = outbox(folder, clock, run=2)
    for n in range(200, 300):
        box.put(message(n, clock, PRIORITIES[n % 3], size=100))
    clock.advance(6)
    box.step()
    files = {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.endswith("-shm")}
    box.close()
    return files


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Cut short, or with other bytes in places."""
    if chance.random() < 0.3:
        return content[: chance.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(chance.choice((1, 4, 64, 2000))):
        # The beginning is where the structure is.
        changed[chance.randrange(chance.choice((100, 2048, len(content))))] = chance.randrange(256)
    return bytes(changed)


@pytest.mark.slow
def test_no_damage_to_the_files_stops_the_outbox(tmp_path: Path) -> None:
    """Bytes are changed and ends cut off; what is sent is what was put, and new ones are kept."""
    chance = random.Random(4)
    clock = FakeClock(10**12)
    whole = written(tmp_path / "whole", clock)
    root = FAST / f"edgeapp-{tmp_path.parent.name}" if FAST.is_dir() else tmp_path
    bodies = {n: message(n, clock, size=n * 7 % 900).body for n in range(200)}
    bodies |= {n: message(n, clock, size=100).body for n in range(200, 300)}
    aside = received = 0
    for trial in range(400):
        folder = root / str(trial)
        folder.mkdir(parents=True)
        for name, content in whole.items():
            (folder / name).write_bytes(content)
        name = chance.choice([name for name in whole if name != "lock"])
        (folder / name).write_bytes(damaged(whole[name], chance))
        log = ListLog()
        box = outbox(folder, clock, run=3, log=log)
        for n in range(1000, 1010):
            box.put(message(n, clock, "critical"))
        sent = [entry for entry in drain(box, clock) if entry.message.topic != "gap"]
        numbers = [number_of(entry) for entry in sent]
        assert all(
            entry.message.body == bodies[number]
            for entry, number in zip(sent, numbers, strict=True)
            if number < 1000
        ), "a damaged message was sent"
        clock.advance(400)
        box.step()
        assert set(range(1000, 1010)) <= set(numbers)
        assert len(numbers) == len(set(numbers))
        now = box.statistics()
        check_sum(now)
        assert now.waiting == 0
        assert box.close() == 0
        again = outbox(folder, clock, run=4)
        again.put(message(1, clock, "critical"))
        again.step()
        assert again.statistics().committed == 1
        again.close()
        aside += any("set aside" in event for event, _ in log.events)
        received += len(numbers) - 10
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    if root != tmp_path:
        root.rmdir()
    assert aside > 10  # the damage was worth the name
    assert received > 400 * 100
