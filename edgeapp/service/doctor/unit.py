"""The service: whether systemd runs it, how it was started, and what it says of itself."""

from collections.abc import Iterator

from edgeapp.errors import ConfigError
from edgeapp.runtime.status import State
from edgeapp.service.doctor.case import UNIT, Case
from edgeapp.service.doctor.finding import Check, Finding, failed, ok, unseen, warning
from edgeapp.service.starts.start import OLDER
from edgeapp.service.systemd.drop_in_folder import differences
from edgeapp.service.systemd.drop_ins import FOLDER, drop_ins

_MANY_RESTARTS = 3
_ILL: frozenset[State] = frozenset({"failed", "stuck"})


def service(case: Case) -> Iterator[Finding]:
    """Whether it is installed, runs, comes up at the next boot, and stays up."""
    unit = case.unit
    if not case.installed:
        if case.live is not None:
            yield ok("service", f"none is installed; process {case.live['pid']} runs by hand")
        else:
            yield ok("service", "none is installed: pipelines run with edgeapp run")
        return
    logs = f"journalctl -u {UNIT} -n 50"
    state = f"{unit.get('ActiveState')} ({unit.get('SubState')})"
    if case.active:
        yield ok("service", f"it is {state}")
    elif unit.get("ActiveState") == "activating":
        yield warning("service", f"it is starting, or started again and again: {state}", logs)
    else:
        why = unit.get("Result", "")
        said = f"it is {state}" + (f": {why}" if why not in ("", "success") else "")
        fix = f"{logs}; {case.sudo(f'systemctl restart {UNIT}')}"
        yield failed("service", said, fix)
    if unit.get("UnitFileState") not in {"enabled", "static", "generated"}:
        fix = case.sudo(f"systemctl enable {UNIT}")
        yield warning("service", "it does not start when the device does", fix)
    restarts = unit.get("NRestarts", "0")
    if restarts.isdecimal() and int(restarts) >= _MANY_RESTARTS:
        yield warning("restarts", f"systemd has restarted it {restarts} times", logs)
    elif restarts != "0":
        yield ok("restarts", f"{restarts}")
    if unit.get("NeedDaemonReload") == "yes":
        fix = f"{case.sudo('systemctl daemon-reload')} && {case.restart()}"
        yield warning("service", "its unit has changed and was not read again", fix)


def dropins(case: Case) -> Iterator[Finding]:
    """Whether the unit has what the pipelines need by now."""
    if not case.installed:
        return
    make = case.sudo(f"{case.program} service dropins --out {FOLDER}")
    make = f"{make} && {case.sudo('systemctl daemon-reload')} && {case.restart()}"
    if case.device is None or case.needs is None:
        yield unseen("drop-ins", "what they should be is not known: the configuration is wrong")
        return
    wanted = drop_ins(case.needs, case.device, case.machine)
    try:
        differ = differences(case.machine.path(FOLDER), wanted.files)
    except ConfigError as error:
        yield failed("drop-ins", error.complaints[0].problem, error.complaints[0].remedy)
        return
    if differ:
        said = ", ".join(f"{name} is {what}" for what, name in differ)
        yield warning("drop-ins", f"they do not fit the configuration any more: {said}", make)
    else:
        yield ok("drop-ins", f"{len(wanted.files)}, as the configuration needs them")


def start(case: Case) -> Iterator[Finding]:
    """Whether it runs as configured, or the guard had to step in."""
    live = case.live
    if live is None:
        if case.live_problem and case.active:
            yield unseen("status", case.live_problem, f"sudo {case.program} doctor")
        return
    mode, why = live["start"]["mode"], live["start"]["why"]
    logs = f"journalctl -u {UNIT} -b | grep -i error"
    mend = f"{logs}, mend it, then {case.program} reload"
    if mode == "safe":
        yield failed("start", f"safe mode, no pipeline runs: {why}", mend)
    elif mode == "last-good":
        yield failed("start", f"{OLDER}: {why}", mend)
    elif case.installed:
        yield ok("start", "as configured")


def pipelines(case: Case) -> Iterator[Finding]:
    """How each of them is, and which source gives nothing."""
    if case.live is None:
        return
    show = f"{case.program} status"
    for one in case.live["pipelines"]:
        said = f"{one['name']} is {one['state']}" + (f": {one['why']}" if one["why"] else "")
        if one["state"] in _ILL:
            yield failed("pipeline", said, show)
        elif one["state"] == "waiting":
            yield warning("pipeline", said, show)
        else:
            yield ok("pipeline", said)
    health = case.live.get("health") or {}
    for one in health.get("pipelines", ()):
        for stage in one.get("silent", ()):
            said = f"{one['pipeline']}/{stage} has given nothing for longer than is usual"
            yield warning("source", said, f"{case.program} tap {one['pipeline']}/{stage}")


CHECKS: tuple[Check, ...] = (service, start, pipelines, dropins)
