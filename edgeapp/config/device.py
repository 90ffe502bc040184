"""The device file: what belongs to the device and not to a pipeline. All of it has defaults."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edgeapp.config.names import problem_with, sanitised
from edgeapp.config.network import Host, Levels
from edgeapp.config.pipeline import Settings
from edgeapp.config.places import Places, places
from edgeapp.config.validate import Subject, validate
from edgeapp.config.watchdog import WatchdogConfig, WatchdogFile, check_board, watchdog_config
from edgeapp.core.plugin import InputPath, Surroundings
from edgeapp.core.secret import Secret
from edgeapp.document.reader import read_file
from edgeapp.document.tree import Table, kind_of
from edgeapp.errors import Complaint, ConfigError, Place

MQTT_PORT, MQTT_TLS_PORT = 1883, 8883
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """How the broker is recognised, and how this device shows who it is."""

    ca: Path | None
    """Certificates of the authorities to trust; None: those of the system."""
    cert: Path | None
    key: Path | None


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """The broker that messages go to."""

    host: str
    port: int
    username: Secret | None
    password: Secret | None
    tls: TlsConfig | None
    keepalive_s: int
    prefix: str
    """First level (or levels) of every topic."""
    commands: frozenset[str] = frozenset()
    """What may be done over MQTT: enable, pin, tune, snapshot, reload."""
    home_assistant: str | None = None
    """Where Home Assistant looks for devices, such as "homeassistant"; None: say nothing there."""


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """How much of the disk messages may take that wait for the broker."""

    critical_bytes: int = 64 * _MB
    normal_bytes: int = 128 * _MB
    bulk_bytes: int = 64 * _MB
    min_free_bytes: int = 64 * _MB
    """Left to others of the disk, whatever the quotas say."""


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """What belongs to the device."""

    device: str
    """Its name: the second level of every topic."""
    data_dir: Path
    """What outlives a restart, and what pipelines write. Absolute."""
    plugins: Path | None
    """Folder of drop-in plugins; None: there is none."""
    mqtt: MqttConfig | None
    """None: no broker is named."""
    run_dir: Path | None = None
    """Where the control socket is; None: in `data_dir`."""
    allow_commands: tuple[str, ...] = ()
    """Programs that pipelines may run: absolute paths, or names."""
    outbox: OutboxConfig = OutboxConfig()
    watchdog: WatchdogConfig = field(default_factory=WatchdogConfig)


def _no_folder(path: Path) -> Path:
    if path.is_dir():
        raise ValueError(f"'{path}' is a folder: give a file in PEM")
    return path


_InputPem = Annotated[InputPath, AfterValidator(_no_folder)]


class _Tls(Settings):
    ca: _InputPem | None = Field(
        None, description="File with the certificates to trust; the system's if not given."
    )
    cert: _InputPem | None = Field(None, description="File with this device's certificate.")
    key: _InputPem | None = Field(None, description="File with the key of that certificate.")


class _HomeAssistant(Settings):
    prefix: Levels = Field(
        "homeassistant", description="Topic below which Home Assistant looks for devices."
    )


class _Mqtt(Settings):
    host: Host = Field(min_length=1, description="Name or address of the broker.")
    port: int | None = Field(None, ge=1, le=65_535, description="1883 if not given, 8883 with TLS.")
    username: Secret | None = Field(
        None, description="Where the user name is: 'cred:name' or 'env:NAME'."
    )
    password: Secret | None = Field(
        None, description="Where the password is: 'cred:name' or 'env:NAME'."
    )
    tls: _Tls | None = Field(None, description="Talk TLS; '{}' trusts the system's authorities.")
    keepalive_s: int = Field(
        30, ge=5, le=65_535, description="After so many seconds of silence a ping is sent."
    )
    prefix: Levels = Field("edgeapp", description="First level, or levels, of every topic.")
    commands: frozenset[Literal["enable", "pin", "tune", "snapshot", "reload"]] = Field(
        frozenset(),
        description="What whoever may publish to '.../set' topics may do: any of enable (and "
        "disable) pipelines, pin a model's variant, tune options that can change live, take a "
        "snapshot, reload the configuration. Nothing if not given.",
    )
    home_assistant: _HomeAssistant | None = Field(
        None, description="Tell Home Assistant of this device; '{}' does so where it looks first."
    )


class _Outbox(Settings):
    critical_mb: float = Field(
        default=64, ge=1, le=1e6, description="Disk space for the class critical."
    )
    normal_mb: float = Field(
        default=128, ge=1, le=1e6, description="Disk space for the class normal."
    )
    bulk_mb: float = Field(default=64, ge=1, le=1e6, description="Disk space for the class bulk.")
    min_free_mb: float = Field(
        default=64, ge=0, le=1e6, description="Disk space that is left free, whatever waits."
    )


class DeviceFile(Settings):
    """The device file."""

    device: str | None = Field(
        None, description="Name of this device, part of every topic; its host name if not given."
    )
    data_dir: Path | None = Field(
        None,
        description="Folder for what outlives a restart. If not given: $STATE_DIRECTORY, "
        "else edgeapp in $XDG_STATE_HOME or ~/.local/state.",
    )
    plugins: InputPath | None = Field(
        None,
        description="Folder of drop-in plugins (*.py). If not given: 'plugins' beside this file "
        "(without a device file: in the current folder), where it exists.",
    )
    mqtt: _Mqtt | None = Field(None, description="The broker that messages go to.")
    outbox: _Outbox = Field(
        default_factory=lambda: _Outbox.model_validate({}),
        description="Disk space for messages that wait for the broker.",
    )
    watchdog: WatchdogFile = Field(
        default_factory=lambda: WatchdogFile.model_validate({}),
        description="What the device can bear; most of it the device says itself.",
    )
    allow_commands: tuple[str, ...] = Field(
        (),
        description="Programs that pipelines may run with `run_command`: absolute paths, or names "
        "of what is in /usr/local/bin, /usr/bin or /bin. None if not given.",
    )


def read_device(
    of: Path | Places | None = None, *, environment: Mapping[str, str] | None = None
) -> DeviceConfig:
    """Read a device file, or what an installation has of it; of None, everything has its default.

    Raises:
        ConfigError: the file cannot be read or is wrong; every mistake found.
    """
    environment = os.environ if environment is None else environment
    installed = _installed(of, environment)
    path = of if isinstance(of, Path) else None
    if installed is not None and path is None and os.path.lexists(installed.device_file):
        path = installed.device_file
    file, place = DeviceFile.model_construct(), Place(str(path))
    found: list[Complaint] = []
    if path is not None:
        root = read_file(path)
        if not isinstance(root, Table):
            problem = f"a device file has keys such as device and mqtt, but this is {kind_of(root)}"
            raise ConfigError([Complaint(root.place, problem)])
        around = Surroundings(path.absolute().parent, path.absolute().parent)
        subject = Subject("", "the device file", place)
        file = validate(DeviceFile, root, subject, found=found, context=around) or file
        _check_rest(root, file, found)
    if found:
        raise ConfigError(sorted(found, key=_position))
    folder = path.absolute().parent if path is not None else Path.cwd()
    if installed is not None:
        folder = installed.config.absolute()
    return DeviceConfig(
        file.device or sanitised(socket.gethostname()) or "device",
        folder
        / _at_home(
            file.data_dir or (installed.data if installed else _data_dir(environment)),
            place if path else None,
        ),
        file.plugins or _existing(folder / "plugins"),
        _mqtt(file.mqtt) if file.mqtt else None,
        run_dir=installed.run if installed else _run_dir(environment),
        allow_commands=file.allow_commands,
        outbox=OutboxConfig(
            round(file.outbox.critical_mb * _MB),
            round(file.outbox.normal_mb * _MB),
            round(file.outbox.bulk_mb * _MB),
            round(file.outbox.min_free_mb * _MB),
        ),
        watchdog=watchdog_config(file.watchdog),
    )


def _installed(of: Path | Places | None, environment: Mapping[str, str]) -> Places | None:
    """The installation that is meant, also where its device file is named by its path."""
    if not isinstance(of, Path):
        return of
    for known in (places(environment), places(environment, root=True)):
        if of.absolute() == known.device_file:
            return known
    return None


def _check_rest(root: Table, file: DeviceFile, found: list[Complaint]) -> None:
    """What types cannot say."""
    name, mqtt = root.get("device"), root.get("mqtt")
    if name and file.device is not None and (wrong := problem_with(file.device)):
        found.append(Complaint(name.value.place, *wrong))
    watchdog = root.get("watchdog")
    if watchdog is not None and isinstance(watchdog.value, Table):
        check_board(watchdog.value, file.watchdog, found)
    if mqtt is None or file.mqtt is None:
        return
    for key in ("tls", "home_assistant"):
        # Left empty by somebody who wants it, or who has commented out what stood below.
        entry = mqtt.value.get(key) if isinstance(mqtt.value, Table) else None
        if entry is not None and getattr(file.mqtt, key) is None:
            problem = f"mqtt.{key} is empty"
            remedy = f"write '{key}: {{}}' for what is usual, or leave it out to go without"
            found.append(Complaint(entry.place, problem, remedy))
    tls = file.mqtt.tls
    if tls and (tls.cert is None) != (tls.key is None):
        given, other = ("cert", "key") if tls.cert else ("key", "cert")
        problem = f"tls has '{given}' but no '{other}'"
        found.append(Complaint(mqtt.place, problem, "give both, or none"))
    if file.mqtt.password and not file.mqtt.username:
        problem = "mqtt has a password but no username"
        found.append(Complaint(mqtt.place, problem, "give both, or none"))


def _position(complaint: Complaint) -> tuple[int, int]:
    place = complaint.place
    return (place.line, place.column) if place else (0, 0)


def _mqtt(file: _Mqtt) -> MqttConfig:
    tls = TlsConfig(file.tls.ca, file.tls.cert, file.tls.key) if file.tls else None
    return MqttConfig(
        file.host,
        file.port or (MQTT_TLS_PORT if tls else MQTT_PORT),
        file.username,
        file.password,
        tls,
        file.keepalive_s,
        file.prefix,
        frozenset(file.commands),
        file.home_assistant.prefix if file.home_assistant else None,
    )


def _at_home(data_dir: Path, place: Place | None) -> Path:
    try:
        return data_dir.expanduser()
    except RuntimeError:
        problem = f"data_dir: '{data_dir}' is in a home that nobody has"
        raise ConfigError([Complaint(place, problem, "give an absolute path")]) from None


def _data_dir(environment: Mapping[str, str]) -> Path:
    """Where state belongs: what systemd made for us, else where the XDG rules put it."""
    given = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    state = environment.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state) / "edgeapp"


def _run_dir(environment: Mapping[str, str]) -> Path | None:
    """What systemd made for as long as we run."""
    given = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else None


def _existing(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None
