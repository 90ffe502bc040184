"""What is configured: whether it is right, and whether this machine was measured for it."""

import json
import shlex
import sys
from collections.abc import Iterator

from edgeapp.document.render import clean, clean_place
from edgeapp.service.doctor.case import Case
from edgeapp.service.doctor.finding import Check, Finding, failed, ok, unseen, warning
from edgeapp.service.doctor.machine import may_open
from edgeapp.service.governing.tenants import hosted

LOAD_S = 18.0
"""How long all models together may take to be looked into."""


def configuration(case: Case) -> Iterator[Finding]:
    """All files together, as `edgeapp check` sees them; models are looked into by another check."""
    check = f"{case.program} check {case.config_given}".rstrip()
    for complaint in case.complaints[:3]:
        place = complaint.place
        where = f"{clean_place(place)}:{place.line}: " if place and place.line else ""
        if place and not place.line:
            where = f"{clean_place(place)}: "
        remedy = clean(complaint.remedy) or check
        yield failed("configuration", f"{where}{clean(complaint.problem)}", remedy)
    if len(case.complaints) > 3:  # noqa: PLR2004  shown above
        yield failed("configuration", f"{len(case.complaints) - 3} more mistakes", check)
    unreadable = [*_unreadable(case)]
    yield from unreadable
    if not case.complaints and not unreadable:
        names = ", ".join(plan.name for plan in case.plans) or "no pipeline"
        yield ok("configuration", f"right: {names}")


def _unreadable(case: Case) -> Iterator[Finding]:
    """Files that we may read, and whoever runs the pipelines may not."""
    stages = (stage for plan in case.plans for stage in plan.stages.values())
    models = (variant.file for stage in stages for variant in stage.variants)
    user, groups = case.user(), case.groups()
    for file in dict.fromkeys((*case.files, *models)):
        try:
            state = case.machine.path(file).stat()
        except OSError:  # a complaint says so
            continue
        if not may_open(state, user, groups, write=False):
            name = shlex.quote(str(file))
            fix = f"{case.sudo(f'chgrp {user.gid} {name}')} && {case.sudo(f'chmod g+r {name}')}"
            yield failed("configuration", f"{user.name} may not read {clean(str(file))}", fix)


def secrets(case: Case) -> Iterator[Finding]:
    """Whether each credential that is referred to is there."""
    if case.needs is None:
        return
    folder = "/etc/edgeapp/secrets"
    unknown = []
    for name in sorted(case.needs.credentials):
        there = case.machine.is_there(f"{folder}/{name}")
        if there is None:
            unknown.append(name)
        elif there is False and case.installed:
            fix = f"sudo install -m 600 /dev/stdin {folder}/{name}, type it, Enter, Ctrl-D; {case.restart()}"
            yield failed("secrets", f"there is no '{folder}/{name}', which cred:{name} is", fix)
        elif there:
            yield ok("secrets", f"cred:{name} is there")
    if unknown:
        again = f"sudo {case.program} doctor"
        yield unseen("secrets", f"only root sees whether there is {', '.join(unknown)}", again)


def models(case: Case) -> Iterator[Finding]:
    """Each model file, loaded by the onnxruntime of this installation in a process of its own."""
    files = {
        str(variant.file): f"{plan.name}/{stage.id}"
        for plan in case.plans
        for stage in plan.stages.values()
        for variant in stage.variants
    }
    if not files:
        if case.plans:
            yield ok("models", "no pipeline uses one")
        return
    command = (sys.executable, "-m", "edgeapp.service.doctor.loading", "models", *files)
    ran = case.machine.run(command, LOAD_S)
    told = {}
    for line in ran.out.splitlines():
        try:
            row = json.loads(line)
            told[row["what"]] = row["problem"]
        except (ValueError, KeyError, TypeError):
            continue
    good = [file for file in files if told.get(file) == ""]
    for file, stage in files.items():
        if told.get(file):
            yield failed(
                "models", f"{stage}: {told[file]}", f"copy '{file}' again, and compare sha256sum"
            )
    silent = [file for file in files if file not in told]
    if silent and ran.code is None:
        yield unseen("models", f"'{silent[0]}': {ran.problem}")
    elif silent:
        said = f"loading '{silent[0]}' ends the process (code {ran.code})"
        yield failed("models", said, f"copy '{silent[0]}' again, and compare sha256sum")
    if good and len(good) == len(files):
        yield ok("models", f"{len(good)} can be loaded")


def costs(case: Case) -> Iterator[Finding]:
    """Whether what each pipeline costs was measured on this device: the watchdog plans with it."""
    for plan in case.plans:
        if not any(stage.variants for stage in plan.stages.values()):
            continue
        host = hosted(plan, case.data_dir)
        if host.measured:
            yield ok("costs", f"{plan.name}: measured on this device")
        elif case.machine.is_there(case.data_dir / "costs") is None:
            again = f"sudo {case.program} doctor"
            yield unseen("costs", f"only {case.user().name} may look", again)
        else:
            bench = f"{case.program} bench {plan.file} {case.device_given}".rstrip()
            yield warning("costs", f"{plan.name}: {host.problem}", case.as_user(bench))


CHECKS: tuple[Check, ...] = (configuration, secrets, models, costs)
