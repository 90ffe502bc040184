"""The device file: what belongs to the device and not to a pipeline. All of it has defaults."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeapp.config.device_file import DeviceFile, MqttFile
from edgeapp.config.layers import WANTED_EMPTY, device_files, read_layers
from edgeapp.config.metrics import MetricsConfig, check_metrics, metrics_config
from edgeapp.config.names import problem_with, sanitised
from edgeapp.config.places import Places, places
from edgeapp.config.validate import Subject, validate
from edgeapp.config.watchdog import WatchdogConfig, check_board, watchdog_config
from edgeapp.core.plugin import Surroundings
from edgeapp.core.secret import Secret
from edgeapp.document.tree import Scalar, Table
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
    metrics: MetricsConfig | None = None
    """Where monitoring may ask; None: nowhere."""


@dataclass(frozen=True, slots=True)
class DeviceReading:
    """A device configuration, and what it came from."""

    config: DeviceConfig
    file: DeviceFile
    """All of what a device file can say, with the defaults of what was not said."""
    said: Table
    """What was said, each piece with the place of the layer that won."""
    files: tuple[Path, ...]
    """Those that were read, in their order."""


def read_device(
    of: Path | Places | None = None,
    *,
    sets: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    texts: Mapping[Path, bytes] | None = None,
) -> DeviceConfig:
    """Read a device file, or what an installation has of it; of None, everything has its default.

    Over it come the files of the folder `conf.d` beside it, in the order of their names, then the
    variables of the environment, as EDGEAPP_MQTT__HOST, then `sets`, as `mqtt.host=broker`.
    Relative paths, whoever gives them, start in the folder of the device file. `texts`: what is read
    instead of these files, by their paths and in their order.

    Raises:
        ConfigError: something cannot be read or is wrong; every mistake found.
    """
    return read_device_layers(of, sets=sets, environment=environment, texts=texts).config


def read_device_layers(
    of: Path | Places | None = None,
    *,
    sets: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    texts: Mapping[Path, bytes] | None = None,
) -> DeviceReading:
    """As `read_device`, with where each value came from.

    Raises:
        ConfigError: something cannot be read or is wrong; every mistake found.
    """
    environment = os.environ if environment is None else environment
    installed = _installed(of, environment)
    files = device_files(of) if texts is None else tuple(texts)
    found: list[Complaint] = []
    said = read_layers(files, sets, environment, found, texts)
    folder = Path.cwd()
    if of is not None:
        folder = (of.config if isinstance(of, Places) else of.parent).absolute()
    file = DeviceFile.model_construct()
    _check_name(said, found)
    if said.entries:
        subject = Subject("", "the device file", said.place)
        around = Surroundings(folder, folder)
        file = validate(DeviceFile, said, subject, found=found, context=around) or file
        _check_rest(said, file, found)
    if found:
        order = [str(path) for path in files]
        raise ConfigError(sorted(found, key=lambda complaint: _position(complaint, order)))
    usual = installed.data if installed else _data_dir(environment)
    data_dir = folder / _at_home(file.data_dir or usual, said)
    run_dir = installed.run if installed else _run_dir(environment)
    return DeviceReading(_config(file, folder, data_dir, run_dir), file, said, files)


def _config(file: DeviceFile, folder: Path, data_dir: Path, run_dir: Path | None) -> DeviceConfig:
    return DeviceConfig(
        file.device or sanitised(socket.gethostname()) or "device",
        data_dir,
        file.plugins or _existing(folder / "plugins"),
        _mqtt(file.mqtt) if file.mqtt else None,
        run_dir=run_dir,
        allow_commands=file.allow_commands,
        outbox=OutboxConfig(
            round(file.outbox.critical_mb * _MB),
            round(file.outbox.normal_mb * _MB),
            round(file.outbox.bulk_mb * _MB),
            round(file.outbox.min_free_mb * _MB),
        ),
        watchdog=watchdog_config(file.watchdog),
        metrics=metrics_config(file.metrics, folder),
    )


def _installed(of: Path | Places | None, environment: Mapping[str, str]) -> Places | None:
    """The installation that is meant, also where its device file is named by its path."""
    if not isinstance(of, Path):
        return of
    for known in (places(environment), places(environment, root=True)):
        if of.absolute() == known.device_file:
            return known
    return None


def _check_name(said: Table, found: list[Complaint]) -> None:
    entry = said.get("device")
    if entry is None or not isinstance(entry.value, Scalar):
        return
    name = entry.value.value
    if isinstance(name, str) and (wrong := problem_with(name)):
        found.append(Complaint(entry.value.place, *wrong))


def _check_rest(said: Table, file: DeviceFile, found: list[Complaint]) -> None:
    """What types cannot say."""
    mqtt = said.get("mqtt")
    watchdog = said.get("watchdog")
    if watchdog is not None and isinstance(watchdog.value, Table):
        check_board(watchdog.value, file.watchdog, found)
    metrics = said.get("metrics")
    if metrics is not None and isinstance(metrics.value, Table) and file.metrics is not None:
        check_metrics(metrics.value, file.metrics, found)
    if mqtt is None or file.mqtt is None or not isinstance(mqtt.value, Table):
        return
    given = mqtt.value
    for _, key in WANTED_EMPTY:
        entry = given.get(key)
        if entry is not None and getattr(file.mqtt, key) is None:
            problem = f"mqtt.{key} is empty"
            remedy = f"write '{key}: {{}}' for what is usual, or leave it out to go without"
            found.append(Complaint(entry.place, problem, remedy))
    tls = file.mqtt.tls
    if tls and (tls.cert is None) != (tls.key is None):
        one, other = ("cert", "key") if tls.cert else ("key", "cert")
        problem = f"tls has '{one}' but no '{other}'"
        found.append(Complaint(_place(given, "tls", one), problem, "give both, or none"))
    if file.mqtt.password and not file.mqtt.username:
        problem = "mqtt has a password but no username"
        found.append(Complaint(_place(given, "password"), problem, "give both, or none"))


def _place(table: Table, *path: str) -> Place:
    """Where a key stands; what holds it, where it does not."""
    place = table.place
    for key in path:
        entry = table.get(key)
        if entry is None:
            break
        place = entry.place
        table = entry.value if isinstance(entry.value, Table) else Table((), place)
    return place


def _position(complaint: Complaint, files: Sequence[str]) -> tuple[int, int, int]:
    """By layers, within a file from its top."""
    place = complaint.place
    if place is None or place.file not in files:
        return len(files), 0, 0
    return files.index(place.file), place.line, place.column


def _mqtt(file: MqttFile) -> MqttConfig:
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


def _at_home(data_dir: Path, said: Table) -> Path:
    try:
        return data_dir.expanduser()
    except RuntimeError:
        problem = f"data_dir: '{data_dir}' is in a home that nobody has"
        entry = said.get("data_dir")
        place = entry.value.place if entry else None
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
