"""`edgeapp check`: every mistake in pipeline files, or one line that says what each will do."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Files, Flag, Sets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeapp.config.device import DeviceConfig
    from edgeapp.config.places import Places
    from edgeapp.errors import Complaint
    from edgeapp.plan.graph import Plan


def check(
    *files: Files,
    sets: Sets = (),
    device: Device = None,
    json: Flag = False,
    models: Annotated[bool, Parameter(negative="--no-models", show_default=False)] = True,
) -> int:
    """Check pipeline files.

    Args:
        files: Pipeline files, checked as if they were to run together. If not given: all installed.
        sets: Change an option first, such as belt.rate_hz=30. Can be given several times.
        device: The device file; it is checked, too.
        json: Print one JSON object: the pipelines, or the mistakes with their places.
        models: Whether to open model files and see whether they fit.
    """
    from edgeapp.cli.installed import chosen, configured, installation_of, installed
    from edgeapp.errors import ConfigError
    from edgeapp.plan.load import load

    try:
        of = device or (installation_of(files) if files else installed())
        try:
            what = chosen(files, of, "check")
        except ConfigError as error:  # no pipeline yet, which makes the device file no better
            raise ConfigError([*_device_mistakes(of, sets), *error.complaints]) from None
        config, changes = configured(what.device, sets, what.pipelines)
        plans = load(what.pipelines, sets=changes, device=config, open_models=models)
    except ConfigError as error:
        if not json:
            raise
        _print_json({"ok": False, "mistakes": [_facts(c) for c in error.complaints]})
        return exits.CONFIG
    doubts = _ladder_doubts(plans, config) if models else []
    if json:
        facts = [_plan_facts(plan) for plan in plans]
        _print_json({"ok": True, "pipelines": facts, "ladders": doubts})
    else:
        print(*(_sentence(plan) for plan in plans), *doubts, sep="\n")
    return exits.OK


def _device_mistakes(of: "Path | Places | None", sets: tuple[str, ...]) -> "Sequence[Complaint]":
    from edgeapp.cli.installed import configured
    from edgeapp.config.places import places
    from edgeapp.errors import ConfigError

    try:
        configured(of or places(), sets, ())
    except ConfigError as error:
        return error.complaints
    return ()


def _ladder_doubts(plans: "tuple[Plan, ...]", config: "DeviceConfig") -> list[str]:
    """What is doubtful in ladders whose costs were measured on this device: a sentence for each."""
    from edgeapp.watchdog.costs import costs_file

    measured = []
    with suppress(OSError):  # the folder of a service may not be looked into by others
        measured = [plan for plan in plans if costs_file(config.data_dir, plan.name).exists()]
    if not measured:
        return []
    from edgeapp.service.governing.ladder_doubts import ladder_doubts

    return ladder_doubts(measured, config)


def _sentence(plan: "Plan") -> str:
    from edgeapp.cli.words import plural

    said = f"ok: {plan.name}: {plural(len(plan.stages), 'stage')}"
    said += f", reads {', '.join(f'{s.id} ({s.plugin.name})' for s in plan.sources)}"
    for stage in plan.stages.values():
        if stage.variants:
            said += f"; {stage.id}: {', '.join(v.file.name for v in stage.variants)}"
    remarks = [f"\n  {s.id}: {said}" for s in plan.stages.values() for said in s.remarks]
    return said + "".join(remarks)


def _plan_facts(plan: "Plan") -> dict[str, Any]:
    return {
        "name": plan.name,
        "file": str(plan.file),
        "stages": [
            {
                "id": stage.id,
                "kind": stage.plugin.kind,
                "plugin": stage.plugin.name,
                "from": list(stage.reads),
                "models": [str(variant.file) for variant in stage.variants],
                "remarks": list(stage.remarks),
            }
            for stage in plan.stages.values()
        ],
    }


def _facts(complaint: "Complaint") -> dict[str, Any]:
    from edgeapp.document.render import clean, clean_place

    place = complaint.place
    return {
        "file": clean_place(place) if place else None,
        "line": place.line if place else 0,
        "column": place.column if place else 0,
        "problem": clean(complaint.problem),
        "remedy": clean(complaint.remedy),
    }


def _print_json(value: object) -> None:
    from json import dumps

    print(dumps(value, indent=2))
