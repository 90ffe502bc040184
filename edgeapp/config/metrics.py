"""The section `metrics` of the device file: where monitoring may ask how all is."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from edgeapp.config.pipeline import Settings
from edgeapp.document.tree import Table
from edgeapp.errors import Complaint

USUAL_PORT = 9464
"""What exporters of OpenTelemetry use."""


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Where to listen: one of both."""

    port: int | None
    """Of loopback."""
    socket: Path | None
    """A Unix socket. Absolute."""


class MetricsFile(Settings):
    """The section `metrics` of a device file."""

    port: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description=f"TCP port of loopback, such as {USUAL_PORT}: only programs on this device can "
        "ask.",
    )
    socket: Path | None = Field(
        None, description="Unix socket instead, for its owner and group (mode 0660)."
    )


def metrics_config(file: MetricsFile | None, folder: Path) -> MetricsConfig | None:
    """What a device file in `folder` says."""
    if file is None:
        return None
    return MetricsConfig(file.port, None if file.socket is None else folder / file.socket)


def check_metrics(table: Table, file: MetricsFile, found: list[Complaint]) -> None:
    """What types cannot say."""
    if file.port is None and file.socket is None:
        remedy = f"write 'port: {USUAL_PORT}', or 'socket:' with a path"
        found.append(Complaint(table.place, "metrics does not say where to listen", remedy))
    elif file.port is not None and file.socket is not None:
        found.append(Complaint(table.place, "metrics has a port and a socket", "give one of both"))
