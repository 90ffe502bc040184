"""What each rung of each model costs on this device: written by `bench`, read by a governor.

Costs hold for one device, one set of libraries and the very model files that were measured. A file
of others is refused, so that nobody plans with numbers that are not true here.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edgeapp.core.whole_file import read_start, write_whole

VERSION = 1
"""Of the file's schema."""

_MOST_BYTES = 1 << 20
_LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless")
_CPU_KEYS = ("model name", "Model", "Hardware")

Amount = Annotated[float, Meta(ge=0, le=1e6)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class CostsError(Exception):
    """A costs file cannot be used; a sentence that says why, and what to do."""


class DeviceFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What costs depend on beside the model."""

    machine: str
    """Such as "x86_64" or "aarch64"."""
    cpu: str
    """As the kernel names it."""
    cores: int
    libraries: dict[str, str]
    """Versions of what computes."""


class RungCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a stage costs on one rung of its ladder; one that is no model has a single rung."""

    packets: Annotated[int, Meta(ge=0, le=1 << 40)]
    """How many were measured."""
    cpu_s: Amount | None
    """CPU time for each packet; null where none came."""
    wall_p50_s: Amount | None
    """Wall time for each packet; null for a source, whose waiting is no cost."""
    wall_p99_s: Amount | None
    variant: str | None = None
    sha256: Sha256 | None = None
    """Of the model file; null for what is no model."""
    memory_mb: Amount | None = None
    """What the model, loaded and run once, adds to the resident memory of a process that has
    another one loaded already, in MB of 10^6 bytes."""
    accuracy: Amount | None = None
    """From the accuracy.json beside the model: mean AP50-95 over its conditions, 0..1."""


class StageCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one stage costs."""

    id: str
    plugin: str
    rungs: Annotated[tuple[RungCosts, ...], Meta(min_length=1)]
    """Best first, as in its ladder."""


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a pipeline costs on this device."""

    version: int
    pipeline: str
    measured: str
    """When, RFC 3339 in UTC, by this device's clock."""
    device: DeviceFacts
    stages: tuple[StageCosts, ...]


def costs_file(data_dir: Path, pipeline: str) -> Path:
    """Where the costs of a pipeline are kept."""
    return data_dir / "costs" / f"{pipeline}.json"


def this_device() -> DeviceFacts:
    """What this device is."""
    libraries = {}
    for library in _LIBRARIES:
        try:
            libraries[library] = version(library)
        except PackageNotFoundError:
            continue
    return DeviceFacts(platform.machine(), _cpu(), os.cpu_count() or 1, libraries)


def write_costs(path: Path, costs: Costs) -> None:
    """Write the file, whole or not at all, power cut or not.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    write_whole(path, msgspec.json.format(msgspec.json.encode(costs), indent=1) + b"\n")


def read_costs(
    path: Path, models: Mapping[str, Sequence[str]], device: DeviceFacts | None = None
) -> Costs:
    """Read the costs of a pipeline as it is here and now.

    `models`: for each model stage the SHA-256 of its rungs, best first. `device`: this one if not
    given.

    Raises:
        CostsError: the file is missing, damaged, or of another device or of other models.
    """
    try:
        text = read_start(path, _MOST_BYTES + 1)
    except OSError as error:
        raise CostsError(
            f"'{path}' cannot be read ({error.strerror}): 'edgeapp bench' writes it"
        ) from None
    try:
        if len(text) > _MOST_BYTES:
            raise ValueError("it is too large")  # noqa: TRY301 - one way out for what is damaged
        costs = msgspec.json.decode(text, type=Costs)
    except (ValueError, RecursionError) as error:
        raise CostsError(f"'{path}' is no costs file: {error}; run 'edgeapp bench'") from None
    if costs.version != VERSION:
        raise CostsError(f"'{path}' is of version {costs.version}, not {VERSION}: measure again")
    if costs.device != (device or this_device()):
        raise CostsError(f"'{path}' was measured on another device: measure again")
    if len({stage.id for stage in costs.stages}) < len(costs.stages):
        raise CostsError(f"'{path}' has a stage twice: measure again")
    measured = {
        stage.id: [rung.sha256 for rung in stage.rungs]
        for stage in costs.stages
        if any(rung.sha256 for rung in stage.rungs)
    }
    for stage, hashes in models.items():
        if measured.get(stage) != list(hashes):
            raise CostsError(f"'{path}' was measured with other models of '{stage}': measure again")
    return costs


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    return next((facts[key] for key in _CPU_KEYS if facts.get(key)), platform.processor())
