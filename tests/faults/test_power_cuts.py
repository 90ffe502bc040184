"""Power cuts, on a real file system: what the outbox called committed is there afterwards.

The writer is stopped, the count of what it knows to be committed is read, and only then the disk
loses what was not synced. Killing the writer alone would prove nothing: a store that never syncs
passes that.
"""

import json
import os
import random
import shutil
import statistics
import struct
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgeapp.uplink.outbox import PRIORITIES
from tests.faults.forks import Forks
from tests.faults.outbox_to_cut import MARK_BYTES
from tests.servers.disk import Disk
from tests.servers.mosquitto import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CUTS = int(os.environ.get("EDGEAPP_POWER_CUTS", "200"))
CARELESS_CUTS = 20
MOST_SETTLED = 1_500
"""A cut comes once a random number of messages up to this is committed."""
CLASSES = [["critical"], ["normal"], ["bulk"], list(PRIORITIES)]
AMPLE, SMALL = (
    {"min_free_bytes": 0, **{f"{name}_bytes": size for name in PRIORITIES}}
    for size in (100_000_000, 150_000)
)

Row = dict[str, Any]


@dataclass
class Life:
    """What one writer did before its power was cut."""

    run: int
    committed: int
    """Messages that the outbox called durable."""


@dataclass
class Result:
    """What became of all of them."""

    settled: list[int] = field(default_factory=list)
    lost: int = 0
    damaged: list[str] = field(default_factory=list)
    evicted: int = 0
    gaps: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{len(self.settled)} cuts, {sum(self.settled):,} messages settled "
            f"({statistics.median(self.settled):.0f} per cut on the median), {self.lost:,} lost, "
            f"{len(self.damaged)} stores damaged, {self.evicted:,} evicted and told in "
            f"{self.gaps} gaps, {len(self.settled) / self.seconds:.1f} cuts/s"
        )


class Outbox:
    """An outbox on a disk, written to and recovered in processes of their own."""

    def __init__(
        self,
        disk: Disk,
        place: Path,
        forks: Forks,
        chance: random.Random,
        *,
        careless: bool = False,
    ) -> None:
        """`careless`: without syncing."""
        self._disk = disk
        self._folder = disk.folder / "outbox"
        self._mark = place / "mark"
        self._found = place / "found.json"
        self._forks = forks
        self._chance = chance
        self._careless = careless
        self._run = 0

    def life(self, small: bool) -> Life:
        """Write until the power is cut, at a random instant; every fifth time while it opens.

        `small`: with so little room that messages are evicted.
        """
        chance = self._chance
        self._run += 1
        self._mark.write_bytes(bytes(MARK_BYTES))
        self._forks.start(
            order="offer",
            folder=str(self._folder),
            run=self._run,
            mark=str(self._mark),
            classes=chance.choice(CLASSES),
            limits=SMALL if small else AMPLE,
            log_bytes=chance.choice([32, 256, 4096]) * 1024,
            careless=self._careless,
        )
        if chance.random() < 0.2:
            time.sleep(chance.uniform(0.0, 0.05))
        else:
            enough = chance.uniform(1, MOST_SETTLED)
            while self._committed() < enough and not self._forks.ended():
                self._wait_for_a_commit()
            time.sleep(chance.uniform(0.0, 0.01))
        self._forks.freeze()
        life = Life(self._run, self._committed())  # first of all: nothing later is promised
        self._disk.cut_power()
        self._forks.kill()
        self._disk.unmount()
        self._disk.mount()
        return life

    def recover(self) -> Row:
        """Start again, and take out all that is there."""
        self._run += 1
        self._forks.start(
            order="recover", folder=str(self._folder), run=self._run, found=str(self._found)
        )
        assert self._forks.wait() == 0
        found: Row = json.loads(self._found.read_text())
        return found

    def forget(self) -> None:
        """Begin with an empty disk: its files will have to be made."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait_for_a_commit(self) -> None:
        before = self._committed()
        try:
            wait_until(lambda: self._committed() > before or self._forks.ended(), "a commit")
        except TimeoutError:
            print(f"run {self._run}: stuck after {before} messages")
            self._forks.tell_stacks()
            raise

    def _committed(self) -> int:
        committed: int = struct.unpack("Q", self._mark.read_bytes())[0]
        return committed


def cut_power_often(outbox: Outbox, chance: random.Random, cuts: int) -> Result:
    """Lives and recoveries in turns; sometimes it is the next writer who has to recover first."""
    result = Result()
    began_s = time.monotonic()
    while len(result.settled) < cuts:
        small = chance.random() < 0.3
        lives = [outbox.life(small) for _ in range(1 if small else chance.choice([1, 1, 2, 3]))]
        result.settled += [life.committed for life in lives]
        check(lives, outbox.recover(), result)
        if chance.random() < 0.2:
            outbox.forget()
    result.seconds = time.monotonic() - began_s
    return result


def check(lives: list[Life], found: Row, result: Result) -> None:
    """Count what is missing of what was promised; the rest must be in good order.

    In each class the messages of a life count 1, 2, 3... Those that are left must go on where the
    gap that was told ends, without a hole.
    """
    result.damaged += found["damaged"]
    left: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    replayed: dict[str, list[tuple[int, int]]] = defaultdict(list)
    gaps: dict[str, list[Row]] = defaultdict(list)
    for run, number, topic, body, replay in found["entries"]:
        said = json.loads(body)
        if topic == "gap":
            gaps[said["priority"]].append(said)
            continue
        priority = topic.partition("/")[0]
        assert said["run"] == run, "an id was used for something else"
        left[run, priority].append((number, said["n"]))
        if replay:
            replayed[priority].append((run, number))
    for ids in replayed.values():
        assert ids == sorted(set(ids)), "not in order, or one twice"
    for life in lives:
        kept = 0
        for priority in PRIORITIES:
            both = sorted(left[life.run, priority])
            assert len(set(both)) == len(both), "one twice"
            ns = [n for _, n in both]
            assert ns == sorted(ns), "ids are not in the order of the messages"
            gone = check_gaps(life, gaps[priority], both, result)
            holes = max(ns, default=gone) - gone - len(ns)
            result.lost += holes
            kept += gone + holes + len(ns)
        result.lost += max(0, life.committed - kept)


def check_gaps(life: Life, gaps: list[Row], kept: list[tuple[int, int]], result: Result) -> int:
    """How many messages of one class were evicted, by what was told of it; it must be exact."""
    gone = 0
    before = 0
    for gap in gaps:
        assert gap["reason"] == "full"
        first, last = (int(gap[end].removeprefix(f"dev/{life.run}/")) for end in ("first", "last"))
        assert before < first <= last
        before = last
        gone += gap["count"]
    if gaps and kept:
        number, n = kept[0]
        assert before < number
        assert gone == n - 1
    result.gaps += len(gaps)
    result.evicted += gone
    return gone


@pytest.fixture
def start(make_disk: Callable[..., Disk], tmp_path: Path) -> Iterator[Callable[..., Outbox]]:
    """Makes an outbox on a disk of its own."""
    with Forks("outbox_to_cut.py") as forks:
        yield lambda chance, **how: Outbox(make_disk(), tmp_path, forks, chance, **how)


def test_a_cut_is_over_also_where_somebody_else_still_has_the_disk_mounted(
    make_disk: Callable[..., Disk], system_program: Callable[[str, str], str]
) -> None:
    """As machines of tests that run beside this one do: the disk would seem to fail for ever."""
    disk = make_disk()
    file = disk.folder / "file"
    with file.open("wb") as synced:
        synced.write(b"synced")
        synced.flush()
        os.fsync(synced.fileno())
    shell = [system_program("unshare", "util-linux"), "--mount", "sh", "-c", "echo; read -r _"]
    with subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        for _ in range(2):
            disk.cut_power()
            with pytest.raises(OSError, match="Input/output error"):
                file.read_bytes()
            disk.unmount()
            disk.mount()
            assert file.read_bytes() == b"synced"
            (disk.folder / "more").write_bytes(b"more")
        other.communicate()


def test_no_settled_message_is_lost(start: Callable[..., Outbox]) -> None:
    """Whatever the instant: while files are made, in a commit, a checkpoint, an eviction."""
    chance = random.Random(4)
    result = cut_power_often(start(chance), chance, CUTS)
    print(f"\npower cuts: {result}")
    assert not result.lost
    assert not result.damaged
    assert statistics.median(result.settled) >= 500
    assert result.evicted


def test_without_syncing_messages_are_lost(start: Callable[..., Outbox]) -> None:
    """The same trial of the same outbox, on a database that is told not to sync."""
    chance = random.Random(4)
    result = cut_power_often(start(chance, careless=True), chance, CARELESS_CUTS)
    print(f"\npower cuts without syncing: {result}")
    assert result.lost > 0
