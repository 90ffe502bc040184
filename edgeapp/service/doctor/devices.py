"""The devices that the pipelines use: whether they are there, and may be opened."""

import fnmatch
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

from edgeapp.service.doctor.case import Case
from edgeapp.service.doctor.finding import Check, Finding, failed, ok, unseen, warning
from edgeapp.service.doctor.machine import may_open
from edgeapp.service.systemd.device_classes import DeviceClass, classes_of

STREAM_S = 3.0
"""How long a network camera may take to answer."""
_NAMES = {
    "cameras": "camera",
    "sound": "sound",
    "lines": "gpio",
    "sensors": "sensor",
    "serial lines": "serial line",
}
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


def devices(case: Case) -> Iterator[Finding]:
    """Each node that a pipeline names: present, and open to whoever runs the pipelines."""
    if case.needs is None:
        yield unseen("devices", "which are used is not known: the configuration is wrong")
        return
    nodes = sorted(case.needs.nodes)
    if not nodes:
        yield ok("devices", "no pipeline uses a device of this machine")
    for node in nodes:
        yield _node(case, node)


def _node(case: Case, node: str) -> Finding:
    classes = classes_of(node, lambda _: "") or ()
    what = _called(classes)
    there = _matching(case, node)
    if not there:
        others = _others(case, node)
        found = f"; there are {', '.join(others)}" if others else ""
        fix = "plug it in, or give another device in the pipeline file"
        return failed(what, f"there is no {node}{found}", fix)
    path = there[0]
    state = case.machine.path(path).stat()
    if not case.machine.is_device(state):
        return failed(what, f"{path} is no device", "give another device in the pipeline file")
    user = case.user()
    if may_open(state, user, case.groups(), write=not path.startswith("/dev/iio")):
        return ok(what, f"{path} is there, and {user.name} may open it")
    return failed(what, f"{user.name} may not open {path}", _let_in(case, state, classes))


def _let_in(case: Case, state: os.stat_result, classes: tuple[DeviceClass, ...]) -> str:
    owner = case.machine.group(state.st_gid)
    wanted = next((one.group for one in classes if one.group), "")
    group = owner[0] if owner and owner[0] != "root" else wanted
    if not group or (state.st_mode >> 3) & 4 == 0:
        rules = "deploy/udev/60-edgeapp.rules /etc/udev/rules.d/ && sudo udevadm trigger"
        return case.sudo(f"install -m 644 {rules}")
    user = case.user().name
    if case.installed:
        made = case.sudo(
            f"{case.program} service dropins --out /etc/systemd/system/edgeapp.service.d"
        )
        return f"{made} && {case.sudo('systemctl daemon-reload')} && {case.restart()}"
    return f"{case.sudo(f'usermod -aG {group} {user}')}, then log in again"


def _called(classes: tuple[DeviceClass, ...]) -> str:
    """What a device is called in the report."""
    return _NAMES.get(classes[0].name, "device") if classes else "device"


def _matching(case: Case, node: str) -> list[str]:
    """The nodes that are there, of one that may have `*` in its name."""
    folder, _, name = node.rpartition("/")
    if "*" not in node:
        return [node] if case.machine.path(node).exists() else []
    found = fnmatch.filter(case.machine.names(folder), name)
    return [f"{folder}/{one}" for one in found]


def _others(case: Case, node: str) -> list[str]:
    """Nodes of the same kind."""
    folder, _, name = node.rpartition("/")
    stem = name.rstrip("0123456789*")
    alike = [one for one in case.machine.names(folder) if one.startswith(stem) and one != name]
    return [f"{folder}/{one}" for one in alike][:4] if stem else []


def streams(case: Case) -> Iterator[Finding]:
    """Network cameras: whether somebody listens there."""
    for plan in case.plans:
        for stage in plan.sources:
            address = str(getattr(stage.options, "device", ""))
            if "://" in address:
                yield _stream(f"{plan.name}/{stage.id}", address)


def _stream(where: str, address: str) -> Finding:
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80)
    try:
        with closing(socket.create_connection((host, port), timeout=STREAM_S)):
            return ok("stream", f"{where}: {host} answers on port {port}")
    except OSError as error:
        problem = error.strerror or str(error)
        fix = f"check the camera, its address and the network: nc -zv {host} {port}"
        return failed("stream", f"{where}: {host} does not answer on port {port}: {problem}", fix)


def groups(case: Case) -> Iterator[Finding]:
    """Groups that the classes of the used devices need, as far as this machine has them."""
    if case.needs is None:
        return
    wanted = {
        one.group
        for node in case.needs.nodes
        for one in classes_of(node, lambda _: "") or ()
        if one.group
    }
    missing = sorted(group for group in wanted if case.machine.group(group) is None)
    if missing:
        rule = "install deploy/udev/60-edgeapp.rules"
        add = " && ".join(case.sudo(f"groupadd --system {group}") for group in missing)
        yield warning("groups", f"this machine has no group {', '.join(missing)}", f"{add}, {rule}")
    elif wanted:
        yield ok("groups", f"{', '.join(sorted(wanted))}: there")


CHECKS: tuple[Check, ...] = (devices, streams, groups)
