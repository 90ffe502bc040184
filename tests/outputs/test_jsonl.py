import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeapp.core.context import Context
from edgeapp.core.packet import Packet
from edgeapp.core.payload import Score
from edgeapp.errors import Unavailable
from edgeapp.outputs.jsonl import Jsonl, JsonlOptions

Wrap = Callable[[Any], Packet[Any]]


def test_each_result_is_one_line_and_lines_are_appended(tmp_path: Path, context: Context) -> None:
    file = tmp_path / "deep" / "results.jsonl"
    for line in (b'{"n":1}', b'{"n":2}'):
        with Jsonl(JsonlOptions(file=file), context) as output:
            output.deliver(line)
    assert file.read_bytes() == b'{"n":1}\n{"n":2}\n'


def test_a_line_is_in_the_file_as_soon_as_it_was_delivered(
    tmp_path: Path, context: Context
) -> None:
    file = tmp_path / "results.jsonl"
    with Jsonl(JsonlOptions(file=file), context) as output:
        output.deliver(b"{}")
        assert file.read_bytes() == b"{}\n"


def test_a_line_torn_by_a_crash_does_not_spoil_the_next_one(
    tmp_path: Path, context: Context
) -> None:
    file = tmp_path / "results.jsonl"
    file.write_bytes(b'{"n":1}\n{"n":')
    with Jsonl(JsonlOptions(file=file), context) as output:
        output.deliver(b'{"n":3}')
    assert file.read_bytes().splitlines() == [b'{"n":1}', b'{"n":', b'{"n":3}']


def test_a_full_file_is_renamed_and_the_oldest_is_removed(tmp_path: Path, context: Context) -> None:
    file = tmp_path / "results.jsonl"
    options = JsonlOptions(file=file, max_bytes=4096, keep_files=2)
    line = b"x" * 1023
    with Jsonl(options, context) as output:
        for n in range(18):
            output.deliver(b"%02d" % n + line[2:])
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(kept) == ["results.jsonl", "results.jsonl.1", "results.jsonl.2"]
    order = kept["results.jsonl.2"] + kept["results.jsonl.1"] + kept["results.jsonl"]
    assert [int(row[:2]) for row in order.splitlines()] == list(range(8, 18))
    assert all(len(content) <= 4096 for content in kept.values())


def test_no_full_file_is_kept_when_none_is_wanted(tmp_path: Path, context: Context) -> None:
    file = tmp_path / "results.jsonl"
    with Jsonl(JsonlOptions(file=file, max_bytes=4096, keep_files=0), context) as output:
        for _ in range(5):
            output.deliver(b"x" * 1023)
    assert [path.name for path in tmp_path.iterdir()] == ["results.jsonl"]
    assert file.stat().st_size == 1024


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path, context: Context) -> None:
    (tmp_path / "file").write_text("not a folder")
    output = Jsonl(JsonlOptions(file=tmp_path / "file" / "results.jsonl"), context)
    with pytest.raises(Unavailable, match=r"results\.jsonl"):
        output.__enter__()


def test_a_full_disk_is_unavailable(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Jsonl(JsonlOptions(file=tmp_path / "results.jsonl"), context) as output:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(Unavailable, match="No space left"):
            output.deliver(b"{}")


def test_the_message_is_that_of_the_wire(context: Context, packet: Wrap, tmp_path: Path) -> None:
    output = Jsonl(JsonlOptions(file=tmp_path / "results.jsonl"), context)
    message = output.encode(packet(Score(1.0)))
    assert message.body.startswith(b'{"schema":"edgeapp/score/1"')
    assert message.taken_ns == 9_000
