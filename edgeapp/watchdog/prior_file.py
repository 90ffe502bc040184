"""What `edgeapp calibrate` learned of this device's heat: written by it, read before a run.

It holds for one device. A file of another one is refused, so that nobody plans with heat that is
not true here; without a file the governor begins with what a table believes of the kind of board.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edgeapp.core.whole_file import read_start, write_whole
from edgeapp.watchdog.checks import COLDEST_TRIP_C, HOTTEST_TRIP_C
from edgeapp.watchdog.costs import this_device
from edgeapp.watchdog.limits import Prior

VERSION = 1
"""Of the file's schema."""
FILE = "thermal.json"
"""Its name in the data directory."""

_MOST_BYTES = 1 << 16
_AGAIN = "run 'edgeapp calibrate' on this device"

Kelvin = Annotated[float, Meta(ge=0, le=200)]
KelvinPerCore = Annotated[float, Meta(gt=0, le=100)]
Seconds = Annotated[float, Meta(gt=0, le=36_000)]
Watts = Annotated[float, Meta(ge=0, le=1000)]


class PriorFileError(Exception):
    """The file cannot be used; a sentence that says why, and what to do."""


class HeatDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The device that was measured. Its libraries do not matter for heat."""

    machine: str
    """Such as "aarch64"."""
    cpu: str
    """As the kernel names it."""
    cores: Annotated[int, Meta(ge=1, le=4096)]


class PriorFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `Prior` within the bounds of what a device can be."""

    board: Annotated[str, Meta(max_length=200)]
    trip_c: Annotated[float, Meta(ge=COLDEST_TRIP_C, le=HOTTEST_TRIP_C)]
    idle_k: Kelvin
    board_k_per_core: KelvinPerCore
    board_tau_s: Seconds
    die_k_per_core: KelvinPerCore
    die_tau_s: Seconds
    idle_w: Watts
    core_w: Annotated[float, Meta(gt=0, le=1000)]
    ambient_c: Annotated[float, Meta(ge=-60, le=100)]


class Calibrated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: what was learned, when and on what."""

    version: int
    measured: str
    """When, RFC 3339 in UTC, by this device's clock."""
    device: HeatDevice
    sensor: str
    """The temperature sensor that was watched."""
    samples: Annotated[int, Meta(ge=1)]
    error_k: Annotated[float, Meta(ge=0)]
    """Root mean square of measured minus modelled die temperature, in kelvin."""
    prior: PriorFacts


def prior_file(data_dir: Path) -> Path:
    """Where the calibration of this device is kept."""
    return data_dir / FILE


def heat_device() -> HeatDevice:
    """What this device is."""
    facts = this_device()
    return HeatDevice(facts.machine, facts.cpu, facts.cores)


def write_prior(
    path: Path,
    prior: Prior,
    *,
    measured: str,
    sensor: str,
    samples: int,
    error_k: float,
    device: HeatDevice | None = None,
) -> None:
    """Write what was learned of this device (or `device`), whole or not at all.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
        PriorFileError: no device can be like this; nothing is written.
    """
    try:
        facts = msgspec.convert(dataclasses.asdict(prior), PriorFacts)
        kept = Calibrated(
            VERSION, measured, device or heat_device(), sensor, samples, error_k, facts
        )
        text = msgspec.json.encode(kept)
        msgspec.json.decode(text, type=Calibrated)
    except (msgspec.ValidationError, ValueError) as error:
        raise PriorFileError(f"what was measured cannot be true: {error}; {_AGAIN}") from None
    write_whole(path, msgspec.json.format(text, indent=1) + b"\n")


def read_prior(path: Path, device: HeatDevice | None = None) -> Prior | None:
    """What was learned of this device (or `device`); None: it was never calibrated.

    Raises:
        PriorFileError: the file is damaged, or of another device.
    """
    kept = read_calibrated(path, device)
    return None if kept is None else Prior(**msgspec.structs.asdict(kept.prior))


def read_calibrated(path: Path, device: HeatDevice | None = None) -> Calibrated | None:
    """The whole file; None: there is none.

    Raises:
        PriorFileError: as of `read_prior`.
    """
    try:
        text = read_start(path, _MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PriorFileError(f"'{path}' cannot be read ({error.strerror}): {_AGAIN}") from None
    if len(text) > _MOST_BYTES:
        raise PriorFileError(f"'{path}' is no calibration: it is too large; {_AGAIN}")
    try:
        kept = msgspec.json.decode(text, type=Calibrated)
    except (ValueError, RecursionError) as error:
        raise PriorFileError(f"'{path}' is no calibration: {error}; {_AGAIN}") from None
    if kept.version != VERSION:
        raise PriorFileError(f"'{path}' is of version {kept.version}, not {VERSION}: {_AGAIN}")
    if kept.device != (device or heat_device()):
        raise PriorFileError(f"'{path}' was measured on another device: {_AGAIN}")
    return kept
