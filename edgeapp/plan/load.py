"""From pipeline files to plans, or to every mistake in them at once."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from edgeapp.config.device import DeviceConfig
from edgeapp.config.outside import KEYS
from edgeapp.config.pipeline import PipelineSpec, read_pipeline
from edgeapp.config.sets import Change, parse_sets
from edgeapp.document.reader import read, read_file
from edgeapp.document.tree import Node, Table, shortened
from edgeapp.document.words import did_you_mean
from edgeapp.errors import Complaint, ConfigError, Place
from edgeapp.plan.check import Check
from edgeapp.plan.discover import Registry
from edgeapp.plan.graph import Plan
from edgeapp.plan.variants import Models


def load(
    files: Sequence[Path],
    *,
    sets: Sequence[str] = (),
    device: DeviceConfig,
    open_models: bool = True,
    registry: Registry | None = None,
    texts: Mapping[Path, bytes] | None = None,
    models: Models | None = None,
) -> tuple[Plan, ...]:
    """Read and check pipeline files; nothing is started. One plan for each file, in their order.

    `sets`: changes as `stage.option=value`, for every pipeline that has the stage.
    `open_models`: whether to look into model files too.
    `registry`: the plugins to use; those of the device if not given.
    `models`: those that were looked into before.
    `texts`: what is read instead of these files; relative paths start beside the file all the same.

    Raises:
        ConfigError: something is wrong; every mistake in every file.
    """
    if registry is None:
        registry = Registry(device.plugins)
    found: list[Complaint] = []
    changes = parse_sets(sets, found)
    if models is None and open_models:
        models = Models(device.data_dir)
    specs: list[PipelineSpec | None] = []
    plans: list[Plan | None] = []
    for file in files:
        mistakes: list[Complaint] = []
        spec = _read(file, texts or {}, changes, mistakes)
        specs.append(spec)
        if spec:
            _refuse_twin(spec, specs[:-1], mistakes)
            plans.append(Check(file, spec, device, registry, models, mistakes).plan())
        found.extend(sorted(dict.fromkeys(mistakes), key=_position))
    found.extend(_lost_changes(changes, specs))
    if not files:
        found.append(Complaint(None, "no pipeline file was given"))
    if found:
        raise ConfigError(found)
    return tuple(plan for plan in plans if plan)


def load_root(
    root: Node,
    file: Path,
    *,
    sets: Sequence[str],
    device: DeviceConfig,
    registry: Registry,
) -> Plan:
    """Check one pipeline that is read already, as `load` does. Relative paths start beside `file`.

    Raises:
        ConfigError: something is wrong; every mistake.
    """
    found: list[Complaint] = []
    changes = parse_sets(sets, found)
    spec = read_pipeline(root, str(file), changes, found)
    plan = None
    if spec:
        plan = Check(file, spec, device, registry, Models(device.data_dir), found).plan()
    found.extend(_lost_changes(changes, [spec]))
    if found or plan is None:
        raise ConfigError(sorted(dict.fromkeys(found), key=_position))
    return plan


def _read(
    file: Path, texts: Mapping[Path, bytes], changes: Sequence[Change], found: list[Complaint]
) -> PipelineSpec | None:
    try:
        root = read(texts[file], str(file)) if file in texts else read_file(file)
    except ConfigError as error:
        found.extend(error.complaints)
        return None
    if _is_device_file(root):
        problem = "this is a device file, not a pipeline"
        found.append(Complaint(Place(str(file)), problem, "give it with --device"))
        return None
    return read_pipeline(root, str(file), changes, found)


def _is_device_file(root: Node) -> bool:
    """Whether it has keys of a device file and nothing else."""
    keys = {entry.key for entry in root.entries} if isinstance(root, Table) else set()
    return bool(keys) and keys.issubset(KEYS)


def _refuse_twin(
    spec: PipelineSpec, others: Iterable[PipelineSpec | None], found: list[Complaint]
) -> None:
    """Two pipelines of one name would share topics and folders."""
    for other in others:
        if other and spec.name and other.name == spec.name:
            problem = (
                f"another pipeline is called '{spec.name}' already, in {other.name_place.file}"
            )
            found.append(Complaint(spec.name_place, problem, "rename one of them"))
            return


def _lost_changes(
    changes: Iterable[Change], specs: Sequence[PipelineSpec | None]
) -> Iterable[Complaint]:
    """Complaints about every `--set` for a stage that is nowhere."""
    if None in specs:
        return  # it may be in the file that could not be read
    ids = dict.fromkeys(id_ for spec in specs if spec for id_ in spec.ids)
    for change in changes:
        if change.stage not in ids:
            problem = f"no pipeline has a stage '{shortened(change.stage)}'"
            remedy = did_you_mean(change.stage, ids, heading="Stages", also=KEYS)
            yield Complaint(change.entry.place, problem, remedy)


def _position(complaint: Complaint) -> tuple[int, int]:
    place = complaint.place
    return (place.line, place.column) if place else (0, 0)
