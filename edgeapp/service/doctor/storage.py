"""The disk: how much is left, whose the data is, what waits in it, and how fast it is worn."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from edgeapp.config.device import OutboxConfig
from edgeapp.core.message import Priority
from edgeapp.service.doctor.case import Case
from edgeapp.service.doctor.finding import Check, Finding, failed, ok, unseen, warning
from edgeapp.service.monitoring.wear import size_below
from edgeapp.service.outbox_look import look
from edgeapp.uplink.disk.store_reader import StoreReader

_MB = 1024 * 1024
_MUCH_PER_DAY_MB = 2_000
"""A card of 16 GB that bears 500 writes of each cell lasts 11 years at this, if all goes well."""
_MOST_FILES = 10_000


def data_directory(case: Case) -> Iterator[Finding]:
    """Whether whoever runs the pipelines may write there, and nobody else may read it."""
    folder, user = case.data_dir, case.user()
    try:
        state = folder.stat()
        names = list(folder.iterdir())[:_MOST_FILES]
    except FileNotFoundError:
        if not (case.installed and case.active):
            yield ok("data directory", f"'{folder}' is made at the first start")
        else:
            fix = case.sudo(f"install -d -m 700 -o {user.name} {folder}")
            yield warning("data directory", f"there is no '{folder}' yet", fix)
        return
    except PermissionError:
        again = f"sudo {case.program} doctor"
        yield unseen("data directory", f"'{folder}' may be looked into by {user.name} alone", again)
        return
    own = case.sudo(f"chown -R {user.name}: {folder}")
    if user.uid not in (0, state.st_uid):
        yield failed("data directory", f"'{folder}' does not belong to {user.name}", own)
        return
    others = sorted(path.name for path in names if _owner(path) not in (user.uid, None))
    if others and user.uid != 0:
        said = f"'{folder / others[0]}' does not belong to {user.name}"
        yield failed("data directory", said, own)
        return
    if case.installed and state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        fix = case.sudo(f"chmod 700 {folder}")
        yield warning("data directory", f"others may look into '{folder}'", fix)
        return
    yield ok("data directory", f"'{folder}' belongs to {user.name}")


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except OSError:
        return None


def disk(case: Case) -> Iterator[Finding]:
    """Space and names that are left where the data is, and whether it can be written at all."""
    folder = next(one for one in (case.data_dir, *case.data_dir.parents) if one.exists())
    room = shutil.disk_usage(folder)
    quotas = case.device.outbox if case.device else OutboxConfig()
    said = f"{room.free // _MB:,} MB of {room.total // _MB:,} MB are left at '{folder}'"
    bound = quotas.critical_bytes + quotas.normal_bytes + quotas.bulk_bytes + quotas.min_free_bytes
    free = case.sudo("journalctl --vacuum-size=50M")
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield failed(
            "disk", f"'{folder}' can only be read", case.sudo(f"mount -o remount,rw {folder}")
        )
    elif room.free <= quotas.min_free_bytes:
        yield failed("disk", f"{said}: messages wait in memory alone", free)
    elif room.free < bound - _outbox_bytes(case):
        yield warning("disk", f"{said}: less than the outbox may take ({bound // _MB:,} MB)", free)
    else:
        yield ok("disk", said)
    names = os.statvfs(folder)
    if names.f_files and names.f_favail < names.f_files // 100:
        yield failed("disk", f"hardly any names of files are left at '{folder}'", free)


def _outbox_bytes(case: Case) -> int:
    try:
        return size_below(case.data_dir / "outbox", _MOST_FILES)
    except OSError:
        return 0


def flash(case: Case) -> Iterator[Finding]:
    """What eMMC says of its own wear."""
    for name in case.machine.names("/sys/block"):
        text = case.machine.text_or(f"/sys/block/{name}/device/life_time")
        levels = [int(word, 16) for word in text.split() if _is_hex(word)]
        if not levels or max(levels) == 0:
            continue
        worn = min(100, 10 * max(levels))
        end = case.machine.text_or(f"/sys/block/{name}/device/pre_eol_info")
        said = f"{name} says that up to {worn} % of its life is used"
        if worn >= 90 or end in {"0x02", "0x03"}:  # noqa: PLR2004  percent
            yield failed("flash", said, "replace it, and copy /etc/edgeapp and /var/lib/edgeapp")
        else:
            yield ok("flash", said)


def _is_hex(word: str) -> bool:
    try:
        int(word, 16)
    except ValueError:
        return False
    return True


def writes(case: Case) -> Iterator[Finding]:
    """What the running service writes, and how much that is in a day."""
    facts = None if case.live is None else case.live.get("wear")
    if not facts:
        why = "nothing runs" if case.live is None else "the system does not count it"
        yield unseen("writes", f"what is written is not known: {why}")
        return
    since_h = facts["since_s"] / 3600
    if since_h < 1:  # what a start writes says nothing of a day
        first = f"{facts['written_mb']:,.1f} MB in the first {facts['since_s'] / 60:,.0f} min"
        yield ok("writes", f"{first}; ask again in an hour how much that is in a day")
        return
    said = f"{facts['written_mb']:,.1f} MB in {since_h:,.1f} h, {facts['per_day_mb']:,.0f} MB a day"
    if facts["per_day_mb"] > _MUCH_PER_DAY_MB:
        fix = f"write less: {case.program} status shows which stages save; docs/service.md"
        yield warning("writes", said, fix)
    else:
        yield ok("writes", said)


def outbox(case: Case) -> Iterator[Finding]:
    """What waits for the broker, what it refused, and whether the files are whole."""
    folder = case.data_dir / "outbox"
    config = case.device.outbox if case.device else OutboxConfig()
    quotas: dict[Priority, int] = {
        "critical": config.critical_bytes,
        "normal": config.normal_bytes,
        "bulk": config.bulk_bytes,
    }
    try:
        with StoreReader(folder) as reader:
            facts = look(reader, quotas)
    except FileNotFoundError:
        yield ok("outbox", "nothing waits: there is none")
        return
    except PermissionError:
        again = f"sudo {case.program} doctor"
        yield unseen("outbox", f"only {case.user().name} may look into it", again)
        return
    except OSError as error:
        yield failed("outbox", f"it cannot be read: {os.strerror(error.errno or errno.EIO)}")
        return
    broken = [file["name"] for file in facts["files"] if file["problem"]]
    show = f"{case.program} outbox status {case.device_given}".rstrip()
    if facts["problem"] or broken:
        yield failed("outbox", facts["problem"] or f"{broken[0]} is damaged", show)
        return
    classes = facts["classes"].items()
    full = [name for name, one in classes if one["bytes"] > 0.9 * one["quota_bytes"]]
    waiting = sum(one["messages"] for _, one in classes)
    said = f"{waiting:,} messages wait on the disk"
    if full:
        yield warning("outbox", f"{said}: {', '.join(full)} is nearly full, the oldest go", show)
    else:
        yield ok("outbox", said)
    if facts["dead"]:
        fix = f"{case.program} outbox peek --dead {case.device_given}".rstrip()
        yield warning(
            "dead letters", f"the broker refused {facts['dead']:,} messages for good", fix
        )
    else:
        yield ok("dead letters", "none")


def kept(case: Case) -> Iterator[Finding]:
    """How large what we keep is, beside the outbox: good files, costs, pictures, recordings."""
    folder = case.data_dir
    try:
        parts = {
            path.name: size_below(path, _MOST_FILES)
            for path in sorted(folder.iterdir())
            if path.is_dir() and path.name != "outbox"
        }
    except OSError:
        return
    if parts:
        largest = sorted(parts.items(), key=lambda part: -part[1])[:4]
        said = ", ".join(f"{name} {size / _MB:,.1f} MB" for name, size in largest)
        yield ok("kept", f"{sum(parts.values()) / _MB:,.1f} MB: {said}")


def journal(case: Case) -> Iterator[Finding]:
    """Whether the logs of this machine have a limit; journald gives them one unless told otherwise."""
    if not case.unit:
        return
    ran = case.machine.run(("journalctl", "--disk-usage"), 5.0)
    if ran.code != 0:
        return
    said = ran.out.strip().rstrip(".").rpartition("\n")[2]
    where = "on the disk" if case.machine.is_there("/var/log/journal") else "in memory"
    yield ok(
        "journal", f"{said[:1].lower()}{said[1:]}, {where}; journald keeps it within its limits"
    )


CHECKS: tuple[Check, ...] = (data_directory, disk, flash, writes, outbox, kept, journal)
