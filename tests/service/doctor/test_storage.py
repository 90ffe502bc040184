"""The disk: room, owner, wear, and what waits in it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edgeapp.config.device import DeviceConfig, OutboxConfig
from edgeapp.core.clock import MonotonicClock
from edgeapp.core.message import Message
from edgeapp.service.doctor import storage
from edgeapp.service.doctor.machine import Ran
from edgeapp.service.monitoring.wear import size_below
from edgeapp.testing.stage import LogBook
from edgeapp.uplink.durable_outbox import DurableOutbox
from edgeapp.uplink.wall_clock import WallClock
from tests.service.doctor.ward import Ward, found, verdicts

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
TB = 1 << 40


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


@ROOT_ONLY
def test_data_has_to_belong_to_the_service(ward: Ward) -> None:
    [finding] = found(storage.data_directory, ward.installed(uid=1000))
    assert finding.verdict == "failed"
    assert finding.fix == f"sudo chown -R edgeapp: {ward.data}"
    os.chown(ward.data, 990, 991)
    assert verdicts(storage.data_directory, ward.installed()) == [("data directory", "ok")]


@ROOT_ONLY
def test_one_file_that_root_left_there_is_named(ward: Ward) -> None:
    """As `sudo edgeapp bench` does: the service cannot write it any more."""
    os.chown(ward.data, 990, 991)
    ward.write("/var/lib/edgeapp/costs", "")
    [finding] = found(storage.data_directory, ward.installed())
    assert finding.verdict == "failed"
    assert "costs" in finding.said


@ROOT_ONLY
def test_what_others_may_read_is_told(ward: Ward) -> None:
    os.chown(ward.data, 990, 991)
    ward.data.chmod(0o755)
    [finding] = found(storage.data_directory, ward.installed())
    assert finding.fix == f"chmod 700 {ward.data}".replace("chmod", _sudo("chmod"))


def _sudo(word: str) -> str:
    return word if os.geteuid() == 0 else f"sudo {word}"


def test_no_data_yet_is_well_before_the_first_start(ward: Ward) -> None:
    ward.data.rmdir()
    case = ward.installed(unit={"ActiveState": "inactive"})
    assert verdicts(storage.data_directory, case) == [("data directory", "ok")]
    [finding] = found(storage.data_directory, ward.installed(uid=1000))
    assert finding.verdict == "warning"
    assert finding.fix.startswith("sudo install -d -m 700 -o edgeapp ")


def _device(**quotas: int) -> DeviceConfig:
    return DeviceConfig("line-3", Path("/"), None, None, outbox=OutboxConfig(**quotas))


def test_room_on_the_disk(ward: Ward) -> None:
    small = _device(critical_bytes=1, normal_bytes=1, bulk_bytes=1, min_free_bytes=1)
    assert ("disk", "ok") in verdicts(storage.disk, ward.case(device=small))
    large = _device(normal_bytes=1000 * TB)
    assert ("disk", "warning") in verdicts(storage.disk, ward.case(device=large))
    full = _device(min_free_bytes=1000 * TB)
    assert ("disk", "failed") in verdicts(storage.disk, ward.case(device=full))


def test_wear_of_an_emmc(ward: Ward) -> None:
    assert verdicts(storage.flash, ward.case()) == []
    chip = "/sys/block/mmcblk0/device"
    ward.write(f"{chip}/life_time", "0x02 0x03\n")
    ward.write(f"{chip}/pre_eol_info", "0x01\n")
    [finding] = found(storage.flash, ward.case())
    assert (finding.verdict, finding.said) == (
        "ok",
        "mmcblk0 says that up to 30 % of its life is used",
    )
    ward.write(f"{chip}/pre_eol_info", "0x02\n")
    assert verdicts(storage.flash, ward.case()) == [("flash", "failed")]


@pytest.mark.parametrize(
    ("since_s", "per_day_mb", "verdict"),
    [(60, 90_000, "ok"), (9e4, 120, "ok"), (9e4, 9e3, "warning")],
)
def test_what_is_written_in_a_day(
    ward: Ward, since_s: float, per_day_mb: float, verdict: str
) -> None:
    wear = {"since_s": since_s, "written_mb": 1.0, "per_day_mb": per_day_mb}
    assert verdicts(storage.writes, ward.case(live={"wear": wear})) == [("writes", verdict)]


def test_the_first_hour_says_nothing_of_a_day(ward: Ward) -> None:
    wear = {"since_s": 120.0, "written_mb": 10.6, "per_day_mb": 76_364}
    (said,) = storage.writes(ward.case(live={"wear": wear}))
    assert said.said == "10.6 MB in the first 2 min; ask again in an hour how much that is in a day"


def test_what_is_written_is_not_known_where_nothing_runs(ward: Ward) -> None:
    assert verdicts(storage.writes, ward.case()) == [("writes", "unseen")]


def _outbox(ward: Ward) -> DurableOutbox:
    clock = MonotonicClock()
    return DurableOutbox(
        ward.data / "outbox",
        run=1,
        clock=clock,
        wall=WallClock(clock),
        log=LogBook(),
        device="line-3",
    )


def test_what_waits_and_what_was_refused(ward: Ward) -> None:
    assert verdicts(storage.outbox, ward.case()) == [("outbox", "ok")]
    with closing(_outbox(ward)) as outbox:
        for n in range(3):
            outbox.put(Message("a/b", b"{}", MonotonicClock().now_ns() + n, "critical"))
    first, second = found(storage.outbox, ward.case())
    assert first.said == "3 messages wait on the disk"
    assert (first.verdict, second.verdict) == ("ok", "ok")
    tiny = _device(critical_bytes=10)
    assert ("outbox", "warning") in verdicts(storage.outbox, ward.case(device=tiny))


def test_a_damaged_outbox_is_a_failure(ward: Ward) -> None:
    with closing(_outbox(ward)) as outbox:
        outbox.put(Message("a/b", b"{}", MonotonicClock().now_ns(), "critical"))
    [file] = (ward.data / "outbox").glob("*.db")
    with closing(sqlite3.connect(file)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(file.read_bytes())
    data[:200] = b"x" * 200
    file.write_bytes(data)
    [finding] = found(storage.outbox, ward.case())
    assert finding.verdict == "failed"
    assert finding.fix == "edgeapp outbox status"


def test_how_large_what_is_kept_is(ward: Ward) -> None:
    ward.write("/var/lib/edgeapp/porch/pictures/1.jpg", "x" * 3_000_000)
    ward.write("/var/lib/edgeapp/good/a.good", "x")
    [finding] = found(storage.kept, ward.case())
    assert finding.said == "2.9 MB: porch 2.9 MB, good 0.0 MB"


def test_sizes_are_counted_to_a_bound_and_links_not_followed(tmp_path: Path) -> None:
    for n in range(10):
        (tmp_path / f"{n}").write_bytes(b"x" * 100)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert size_below(tmp_path, 1_000) < 1_200
    assert size_below(tmp_path, 3) <= 1_200


def test_the_journal(ward: Ward) -> None:
    assert verdicts(storage.journal, ward.case()) == []
    ward.programs["journalctl"] = Ran(
        0, "Archived and active journals take up 16.0M in the file system.\n"
    )
    [finding] = found(storage.journal, ward.installed())
    assert finding.said.startswith("archived and active journals take up 16.0M")
