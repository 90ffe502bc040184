from pathlib import Path

import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Priority
from edgeapp.errors import Unavailable
from edgeapp.uplink.outbox import PRIORITIES, Key
from edgeapp.uplink.store_view import peek, purge, status
from tests.uplink.outboxes import drain, message, number_of, outbox


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(10**12)


@pytest.fixture
def folder(tmp_path: Path, clock: FakeClock) -> Path:
    """A folder with ten messages of each class, of two runs, and one that was refused."""
    folder = tmp_path / "outbox"
    for run in (1, 2):
        box = outbox(folder, clock, run=run)
        for n in range(15):
            box.put(message(run * 100 + n, clock, PRIORITIES[n % 3]))
        if run == 2:
            box.put(message(999, clock, "critical", topic="refused/t"))
            for entry in box.take(6):
                if entry.message.topic == "refused/t":
                    box.refuse(entry.key, "not authorised")
        box.close()
    return folder


def test_status_says_what_waits(folder: Path) -> None:
    seen = status(folder)
    assert {name: view.count for name, view in seen.classes.items()} == dict.fromkeys(
        PRIORITIES, 10
    )
    assert all(view.bytes > 0 for view in seen.classes.values())
    oldest = seen.classes["critical"].oldest
    assert oldest is not None
    assert (oldest.key, oldest.topic, oldest.boot) == (Key(1, 1), "critical/t", "boot-1")
    assert (seen.dead, seen.runs, seen.gaps) == (1, (1, 2), 0)
    assert seen.offsets["boot-1"].synced
    assert not seen.in_use
    assert seen.unreadable == ()


def test_peek_shows_the_oldest_and_the_newest(folder: Path) -> None:
    oldest = peek(folder, "normal", count=2, head=8)
    assert [view.key for view in oldest] == [Key(1, 2), Key(1, 5)]
    assert oldest[0].body == b'{"n":101'
    newest = peek(folder, "normal", count=6, newest=True)
    assert [view.key.run for view in newest] == [2, 2, 2, 2, 2, 1]
    (dead,) = peek(folder, "dead")
    assert (dead.reason, dead.topic, dead.priority) == ("not authorised", "refused/t", "critical")


def test_a_folder_in_use_is_seen_as_it_is_and_not_purged(folder: Path, clock: FakeClock) -> None:
    box = outbox(folder, clock, run=3)
    box.put(message(300, clock, "critical"))
    box.step()
    seen = status(folder)
    assert seen.in_use
    assert seen.classes["critical"].count == 11
    with pytest.raises(Unavailable, match="an application uses"):
        purge(folder, ("critical",))
    box.close()


@pytest.mark.parametrize("priority", PRIORITIES)
def test_purge_removes_a_class_for_good(folder: Path, clock: FakeClock, priority: Priority) -> None:
    assert purge(folder, (priority,)) == 10
    assert status(folder).classes[priority].count == 0
    box = outbox(folder, clock, run=3)
    taken = drain(box, clock)
    assert len({number_of(entry) for entry in taken}) == 20
    assert {entry.message.priority for entry in taken} == set(PRIORITIES) - {priority}
    box.close()


def test_purge_removes_what_was_refused(folder: Path) -> None:
    assert purge(folder, (), dead=True) == 1
    assert peek(folder, "dead") == []


def test_a_damaged_file_is_named(folder: Path) -> None:
    (folder / "outbox-9.db").write_bytes(b"nonsense" * 1000)
    seen = status(folder)
    assert seen.unreadable == ("outbox-9.db",)
    assert seen.classes["bulk"].count == 10


def test_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="there is no outbox"):
        status(tmp_path / "nowhere")
