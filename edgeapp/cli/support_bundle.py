"""`edgeapp support-bundle`: one file with all that tells what is wrong, and no secret."""

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device
from edgeapp.cli.doctor import SECRETS, case_of

if TYPE_CHECKING:
    from edgeapp.service.bundle import Part
    from edgeapp.service.doctor.case import Case

JOURNAL_LINES = 3_000
_MOST_FILES = 100
_MOST_FILE_BYTES = 256 * 1024
_MOST_SECRET_BYTES = 64 * 1024
_SECRET_NAME = re.compile(r"(?i)pass|secret|token|key|credential")
_USER = re.compile(r"\busername[\"']?\s*:\s*[\"']?cred:([A-Za-z0-9_.-]+)")
"""A user's name may be the device's own, and is no secret."""
_REFERENCE = re.compile(r"\benv:([A-Za-z0-9_.-]+)")
_PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "journal.txt": (
        "journalctl",
        "-u",
        "edgeapp",
        "-n",
        str(JOURNAL_LINES),
        "--no-pager",
        "-o",
        "short-iso-precise",
    ),
    "unit/cat.txt": ("systemctl", "cat", "edgeapp.service"),
    "unit/show.txt": ("systemctl", "show", "edgeapp.service"),
    "unit/status.txt": ("systemctl", "status", "--no-pager", "-n", "0", "edgeapp.service"),
    "machine/kernel.txt": ("uname", "-a"),
    "machine/disks.txt": ("df", "-PT"),
    "machine/usb.txt": ("lsusb",),
    "machine/failed_units.txt": ("systemctl", "--failed", "--no-pager", "--plain"),
}
_FILES = (
    *("/etc/os-release", "/proc/cpuinfo", "/proc/meminfo", "/proc/mounts", "/proc/uptime"),
    *("/proc/device-tree/model", "/proc/pressure/cpu", "/proc/pressure/memory"),
    *("/opt/edgeapp/state/starts", "/opt/edgeapp/state/trial", "/opt/edgeapp/state/previous"),
    *("/run/edgeapp-guard/start.env", "/run/edgeapp-guard/starts"),
)
"""Of the machine, by the names that they have there."""


def support_bundle(
    file: Annotated[Path | None, Parameter(metavar="FILE")] = None, *, device: Device = None
) -> int:
    """Pack what tells what is wrong with this device.

    Args:
        file: The file to write, a new one. If not given: named by device and time, here.
        device: The device file. If not given: what is installed.
    """
    from edgeapp.cli.words import plural, size
    from edgeapp.service.bundle import LeakError, write_bundle
    from edgeapp.service.redaction import Redaction

    case = case_of((), device)
    name = case.device.device if case.device else "device"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    file = file or Path(f"edgeapp-{name}-{stamp}.tar.gz")
    texts = _configured(case, device)
    redaction = Redaction(known_secrets(case, texts))
    try:
        left_out = write_bundle(
            file, _parts(case, device, texts), redaction, top=f"edgeapp-{name}", made_s=time.time()
        )
    except FileExistsError:
        raise exits.Quit(exits.USAGE, f"there is a file '{file}' already") from None
    except LeakError as error:
        raise exits.Quit(exits.FAILED, f"no bundle was written: {error}") from None
    except OSError as error:
        raise exits.Quit(exits.FAILED, f"'{file}' cannot be written: {error.strerror}") from None
    print(f"{file}: {size(file.stat().st_size)}")
    known = plural(len(redaction.secrets), "secret")
    print(f"searched for the {known} that could be read here, and holds none of them")
    if case.machine.uid != 0 and case.installed:
        print(
            f"without root the log and some of the rest is missing: sudo {case.program} support-bundle"
        )
    if left_out:
        print(f"left out: {', '.join(left_out)}; left_out.json says why")
    print("look at it before you give it away: tar -tzf, tar -xzOf")
    return exits.OK


def known_secrets(case: "Case", texts: Mapping[str, str]) -> set[str]:
    """All that can be read here and now: credentials, variables, keys, and what looks like one."""
    from edgeapp.service.redaction import written_in

    found: set[str] = set()
    names_of_users = {name for text in texts.values() for name in _USER.findall(text)}
    for folder in {SECRETS, Path(os.environ.get("CREDENTIALS_DIRECTORY", SECRETS))}:
        try:
            files = [one for one in sorted(folder.iterdir()) if one.name not in names_of_users]
            found.update(_start_of(one, _MOST_SECRET_BYTES) for one in files)
        except OSError:
            continue  # nobody else may look into it
    service = _environment_of_service(case)
    names = {name for name in (*os.environ, *service) if _SECRET_NAME.search(name)}
    for text in texts.values():
        names.update(_REFERENCE.findall(text))
        found |= written_in(text)
    for environment in (os.environ, service):
        found.update(environment[name] for name in names if environment.get(name))
    tls = case.endpoint.tls if case.endpoint else None
    if tls is not None and tls.key is not None:
        found.add(_start_of(tls.key, _MOST_SECRET_BYTES))
    if case.endpoint is not None:
        found |= _login(case)
    return {one for one in found if one.strip()}


def _environment_of_service(case: "Case") -> dict[str, str]:
    """What the service was started with, and what its unit and drop-ins say, as far as we may see it."""
    import shlex

    shown = case.machine.run(
        ("systemctl", "show", "edgeapp.service", "--property=MainPID,Environment"), 5.0
    )
    facts = dict(line.split("=", 1) for line in shown.out.splitlines() if "=" in line)
    pairs = []
    with suppress(ValueError):
        pairs += shlex.split(facts.get("Environment", ""))
    with suppress(OSError):  # it does not run, or is somebody else's
        pairs += case.machine.text(f"/proc/{facts.get('MainPID')}/environ").split("\0")
    return {name: value for name, is_pair, value in (p.partition("=") for p in pairs) if is_pair}


def _login(case: "Case") -> set[str]:
    """The user's name and password as they stand together in some protocols."""
    from edgeapp.errors import Unavailable

    assert case.endpoint is not None
    try:
        user, password = case.endpoint.username, case.endpoint.password
        if user is None or password is None:
            return set()
        return {password.reveal(), f"{user.reveal(hide=False)}:{password.reveal()}"}
    except Unavailable:
        return set()


def _start_of(file: Path, most_bytes: int) -> str:
    from edgeapp.core.whole_file import read_start

    try:
        return read_start(file, most_bytes).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _configured(case: "Case", device: Path | None) -> dict[str, str]:
    """The files of the configuration, by their names in the bundle."""
    from edgeapp.config.layers import device_files
    from edgeapp.config.places import places
    from edgeapp.errors import ConfigError

    try:
        files: Iterable[Path] = device_files(device or places(root=case.installed or None))
    except ConfigError:
        files = ()
    named = {f"config/{file.name}": file for file in files}
    named |= {f"config/pipelines/{file.name}": file for file in case.files}
    return {
        name: _start_of(file, _MOST_FILE_BYTES) for name, file in list(named.items())[:_MOST_FILES]
    }


def _parts(case: "Case", device: Path | None, texts: Mapping[str, str]) -> Iterator["Part"]:
    from edgeapp.service.bundle import Part

    yield Part("doctor.json", partial(_doctor, case))
    yield Part("status.json", partial(_status, case))
    yield Part("config/effective.json", partial(_effective, case, device))
    yield Part("versions.txt", _versions)
    for name, text in texts.items():
        yield Part(name, _given(text))
    for name, command in _PROGRAMS.items():
        yield Part(name, partial(_program, case, command))
    for path in _FILES:
        yield Part(
            f"machine/{path.lstrip('/').replace('/', '_')}.txt", partial(case.machine.text, path)
        )
    yield Part("machine/devices.txt", partial(_devices, case))
    yield Part("data/names.txt", partial(_names, case))
    for file in _kept(case.data_dir):
        yield Part(f"data/{file.relative_to(case.data_dir)}", partial(_start_of_own, case, file))


def _start_of_own(case: "Case", file: Path) -> str:
    """Of a file of the service: as root we read nothing that it only leads us to."""
    from edgeapp.core.whole_file import read_start

    start = read_start(file, _MOST_FILE_BYTES, inside=case.data_dir)
    return start.decode("utf-8", "replace").strip()


def _given(text: str) -> Callable[[], str]:
    return lambda: text


def _doctor(case: "Case") -> str:
    from json import dumps

    from edgeapp.service.doctor.examine import examine

    return dumps([finding.facts() for finding in examine(case)], indent=1)


def _status(case: "Case") -> str:
    from json import dumps

    if case.live is None:
        raise LookupError(case.live_problem or "nothing runs")
    return dumps(case.live, indent=1)


def _effective(case: "Case", device: Path | None) -> str:
    from json import dumps

    from edgeapp.config.device import read_device_layers
    from edgeapp.config.effective import settings_of
    from edgeapp.config.places import places

    reading = read_device_layers(device or places(root=case.installed or None))
    rows = [(".".join(s.path), s.value, s.origin) for s in settings_of(reading) if not s.is_group]
    return dumps([{"key": k, "value": v, "origin": o} for k, v, o in rows], indent=1, default=str)


def _versions() -> str:
    import platform
    import sys
    from importlib.metadata import distributions

    from edgeapp import __version__

    packages = sorted({f"{one.name} {one.version}" for one in distributions()}, key=str.lower)
    head = [f"edgeapp {__version__}", f"Python {sys.version}", platform.platform(), sys.executable]
    return "\n".join([*head, "", *packages])


def _program(case: "Case", command: tuple[str, ...]) -> str:
    ran = case.machine.run(command, 15.0)
    if ran.code is None:
        raise LookupError(ran.problem)
    return ran.out


def _devices(case: "Case") -> str:
    rows = []
    for folder in ("/dev", "/dev/snd", "/sys/bus/iio/devices", "/dev/v4l/by-id"):
        for name in case.machine.names(folder):
            wanted = folder != "/dev" or re.match(r"video|media|gpiochip|iio|ttyUSB|ttyACM", name)
            if wanted:
                rows.append(f"{folder}/{name}")
    return "\n".join(rows)


def _names(case: "Case") -> str:
    """What lies in the data directory, with its size: not what is in it."""
    rows = []
    for path in sorted(islice(case.data_dir.rglob("*"), 20 * _MOST_FILES)):
        state = path.lstat()
        rows.append(
            f"{state.st_mode:06o} {state.st_uid:5} {state.st_size:>12} {path.relative_to(case.data_dir)}"
        )
    return "\n".join(rows)


def _kept(data_dir: Path) -> list[Path]:
    """What was measured and learned of the device: costs, calibration, the mark of healthy starts."""
    found: list[Path] = []
    for pattern in ("costs/*.json", "*.json", "healthy", "run"):
        try:
            found += sorted(data_dir.glob(pattern))
        except OSError:
            continue
    return found[:_MOST_FILES]
