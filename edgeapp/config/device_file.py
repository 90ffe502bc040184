"""What a device file may say, as far as types can tell."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edgeapp.config.metrics import MetricsFile
from edgeapp.config.network import Host, Levels
from edgeapp.config.pipeline import Settings
from edgeapp.config.watchdog import WatchdogFile
from edgeapp.core.plugin import InputPath
from edgeapp.core.secret import Secret


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


class MqttFile(Settings):
    """The section `mqtt`."""

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
    mqtt: MqttFile | None = Field(None, description="The broker that messages go to.")
    outbox: _Outbox = Field(
        default_factory=lambda: _Outbox.model_validate({}),
        description="Disk space for messages that wait for the broker.",
    )
    watchdog: WatchdogFile = Field(
        default_factory=lambda: WatchdogFile.model_validate({}),
        description="What the device can bear; most of it the device says itself.",
    )
    metrics: MetricsFile | None = Field(
        None,
        description="Where Prometheus, and whoever else watches this device from within, may ask "
        "how all is. Nowhere if not given.",
    )
    allow_commands: tuple[str, ...] = Field(
        (),
        description="Programs that pipelines may run with `run_command`: absolute paths, or names "
        "of what is in /usr/local/bin, /usr/bin or /bin. None if not given.",
    )
