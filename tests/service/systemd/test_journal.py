"""What the journal is sent, read by a small parser of the test's own."""

import array
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.core.clock import FakeClock
from edgeapp.service.flood import LINES_A_MINUTE, Flood
from edgeapp.service.systemd.journal import MOST_FIELDS, Journal, encoded, fields, is_journal


def parsed(entry: bytes) -> dict[str, str]:
    """An entry, as systemd.io/JOURNAL_NATIVE_PROTOCOL describes it."""
    found = {}
    while entry:
        line, _, rest = entry.partition(b"\n")
        if b"=" in line:
            key, _, value = line.partition(b"=")
            entry = rest
        else:
            [length] = struct.unpack_from("<Q", rest)
            key, value = line, rest[8 : 8 + length]
            assert rest[8 + length : 9 + length] == b"\n"
            entry = rest[9 + length :]
        found[key.decode("ascii")] = value.decode()
    return found


class FakeJournal:
    """Listens where the journal would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(5)

    def entry(self) -> dict[str, str]:
        data, ancillary, _, _ = self._socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        if ancillary:
            [fd] = array.array("i", ancillary[0][2])
            with os.fdopen(fd, "rb") as file:
                file.seek(0)
                data = file.read()
                with pytest.raises(PermissionError):
                    os.pwrite(fd, b"x", 0)  # it is sealed: nobody changes it while it is read
        return parsed(data)

    def close(self) -> None:
        self._socket.close()
        self.path.unlink()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[FakeJournal]:
    journal = FakeJournal(tmp_path / "journal")
    yield journal
    if journal.path.exists():
        journal.close()


def journal_to(path: Path, otherwise: list[Any]) -> "closing[Journal]":
    return closing(Journal(lambda event: str(event["event"]), otherwise.append, path=str(path)))


def test_facts_are_fields(listening: FakeJournal) -> None:
    with journal_to(listening.path, []) as journal:
        journal.msg(
            level="error", event="stage is stuck", pipeline="porch", stage="detect", for_s=31.25
        )
    assert listening.entry() == {
        "MESSAGE": "stage is stuck",
        "PRIORITY": "3",
        "SYSLOG_IDENTIFIER": "edgeapp",
        "EDGEAPP_EVENT": "stage is stuck",
        "EDGEAPP_PIPELINE": "porch",
        "EDGEAPP_STAGE": "detect",
        "EDGEAPP_FOR_S": "31.25",
    }


def test_a_large_entry_travels_as_a_sealed_file(listening: FakeJournal) -> None:
    stack = "somewhere\n" * 6_000
    facts = {f"fact_{number}": "y" * 4_000 for number in range(40)}
    with journal_to(listening.path, []) as journal:
        journal.msg(level="error", event="stack", stack=stack, **facts)
    entry = listening.entry()
    assert entry["EDGEAPP_STACK"] == stack
    assert entry["EDGEAPP_FACT_39"] == "y" * 4_000


def test_while_the_journal_is_away_events_go_elsewhere_and_then_back(
    listening: FakeJournal, tmp_path: Path
) -> None:
    otherwise: list[Any] = []
    with journal_to(listening.path, otherwise) as journal:
        journal.msg(level="info", event="one")
        assert listening.entry()["MESSAGE"] == "one"
        listening.close()
        journal.msg(level="info", event="two")
        assert [event["event"] for event in otherwise] == ["two"]
        again = FakeJournal(tmp_path / "journal")
        journal.msg(level="info", event="three")
        assert again.entry()["MESSAGE"] == "three"
        again.close()


@given(st.dictionaries(st.text(min_size=1), st.text() | st.floats() | st.none(), max_size=8))
def test_no_fact_breaks_out_of_its_field(facts: dict[str, Any]) -> None:
    """Whatever keys and values are, other fields keep what they hold."""
    event = {**facts, "level": "info", "event": "it happened"}
    entry = parsed(encoded(fields(event, "it happened")))
    assert entry["MESSAGE"] == "it happened"
    assert entry["PRIORITY"] == "6"
    for key in entry:
        assert all("A" <= c <= "Z" or "0" <= c <= "9" or c == "_" for c in key)
        assert key[0].isalpha()


def test_entries_are_bounded() -> None:
    event = {f"k{number}": "x" * 100_000 for number in range(1_000)} | {"event": "e"}
    entry = fields(event, "m" * 1_000_000)
    assert len(entry) <= MOST_FIELDS
    assert len(encoded(entry)) < 400_000


def test_the_journal_is_told_from_a_file(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        there = os.fstat(stream.fileno())
        assert is_journal(stream, {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino + 1}"})
        assert not is_journal(stream, {})
    assert not is_journal(stream, {"JOURNAL_STREAM": "1:1"})
    assert not is_journal(None, {"JOURNAL_STREAM": "1:1"})
    assert isinstance(is_journal(sys.stderr), bool)


def passed(flood: Flood, level: str, count: int) -> list[dict[str, Any]]:
    import structlog

    through = []
    for number in range(count):
        try:
            through.append(dict(flood(None, "", {"level": level, "event": str(number)})))
        except structlog.DropEvent:
            continue
    return through


def test_a_flood_of_different_lines_ends_and_is_counted() -> None:
    clock = FakeClock()
    flood = Flood(clock)
    infos = len(passed(flood, "info", 1_000))
    assert infos == LINES_A_MINUTE // 2
    warnings = passed(flood, "warning", 1_000)
    assert warnings[0]["lines_left_out"] == 1_000 - infos
    errors = passed(flood, "error", 1_000)
    assert infos + len(warnings) + len(errors) == LINES_A_MINUTE
    clock.advance(60)
    assert len(passed(flood, "error", 1_000)) == LINES_A_MINUTE
