"""Devices that pipelines use: there, and open to whoever runs them, or else what lets them in."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeapp.core.needs import Needs
from edgeapp.service.doctor import devices
from edgeapp.service.doctor.machine import User, may_open
from tests.service.doctor.ward import Ward, found, verdicts

CAMERA = Needs(nodes=frozenset({"/dev/video0"}))


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def node(ward: Ward, path: str, *, mode: int = 0o660, gid: int | None = None) -> None:
    """A file in place of a device, of our group unless root can give it to another."""
    file = ward.write(path, "", mode)
    if gid is not None and os.geteuid() == 0:
        os.chown(file, 0, gid)


def test_a_camera_that_is_not_plugged_in_names_those_that_are(ward: Ward) -> None:
    node(ward, "/dev/video2")
    [finding] = found(devices.devices, ward.case(needs=CAMERA))
    assert (finding.check, finding.verdict) == ("camera", "failed")
    assert finding.said == "there is no /dev/video0; there are /dev/video2"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to a group")
def test_a_camera_needs_its_group_and_the_command_gives_it(ward: Ward) -> None:
    node(ward, "/dev/video0", gid=44)
    [finding] = found(devices.devices, ward.installed(uid=1000, needs=CAMERA))
    assert finding.verdict == "failed"
    assert finding.said == "edgeapp may not open /dev/video0"
    assert "edgeapp service dropins --out" in finding.fix
    assert finding.fix.startswith("sudo ")
    with_drop_in = {"SupplementaryGroups": "video audio"}
    case = ward.installed(uid=1000, needs=CAMERA, unit=with_drop_in)
    assert verdicts(devices.devices, case) == [("camera", "ok")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to a group")
def test_what_the_running_process_has_counts_more_than_what_the_unit_says(ward: Ward) -> None:
    """A group that was given after the start is of no use to it yet."""
    node(ward, "/dev/video0", gid=44)
    ward.write("/proc/77/status", "Name:\tedgeapp\nGroups:\t991 29\n")
    unit = {"SupplementaryGroups": "video", "MainPID": "77"}
    case = ward.installed(uid=0, needs=CAMERA, unit=unit)
    assert verdicts(devices.devices, case) == [("camera", "failed")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to a group")
def test_a_person_gets_into_the_group(ward: Ward) -> None:
    node(ward, "/dev/snd/pcmC0D0c", gid=29)
    sound = Needs(nodes=frozenset({"/dev/snd/*"}))
    [finding] = found(devices.devices, ward.case(uid=1000, needs=sound))
    assert finding.fix == "sudo usermod -aG audio ann, then log in again"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to a group")
def test_a_device_that_is_roots_alone_gets_a_udev_rule(ward: Ward) -> None:
    node(ward, "/dev/iio:device0", mode=0o600, gid=0)
    sensor = Needs(nodes=frozenset({"/dev/iio:device0"}))
    [finding] = found(devices.devices, ward.case(uid=1000, needs=sensor))
    assert "60-edgeapp.rules" in finding.fix


def test_without_devices_there_is_nothing_to_look_for(ward: Ward) -> None:
    assert verdicts(devices.devices, ward.case(needs=Needs())) == [("devices", "ok")]
    assert verdicts(devices.devices, ward.case(needs=None)) == [("devices", "unseen")]


def test_groups_that_the_machine_lacks(ward: Ward) -> None:
    lines = Needs(nodes=frozenset({"/dev/gpiochip0"}))
    [finding] = found(devices.groups, ward.case(uid=1000, needs=lines))
    assert finding.verdict == "warning"
    assert finding.fix.startswith("sudo groupadd --system gpio")
    assert verdicts(devices.groups, ward.case(needs=CAMERA)) == [("groups", "ok")]


@pytest.fixture
def listener() -> Iterator[int]:
    """A port on which somebody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def _with_stream(ward: Ward, address: str) -> Any:
    stage = SimpleNamespace(id="camera", options=SimpleNamespace(device=address))
    return ward.case(plans=(SimpleNamespace(name="porch", sources=[stage]),))


def test_a_network_camera_answers_or_does_not(ward: Ward, listener: int) -> None:
    case = _with_stream(ward, f"rtsp://127.0.0.1:{listener}/s")
    assert verdicts(devices.streams, case) == [("stream", "ok")]
    [finding] = found(devices.streams, _with_stream(ward, "rtsp://127.0.0.1:1/s"))
    assert finding.verdict == "failed"
    assert "nc -zv 127.0.0.1 1" in finding.fix


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "user", "may"),
    [
        (0o600, 5, 5, User("root", 0, 0), True),
        (0o600, 990, 5, User("edgeapp", 990, 991), True),
        (0o060, 5, 44, User("edgeapp", 990, 991), True),
        (0o606, 5, 44, User("edgeapp", 990, 991), False),
        (0o006, 5, 5, User("edgeapp", 990, 991), True),
        (0o440, 990, 44, User("edgeapp", 990, 991), False),
    ],
)
def test_who_may_open_a_file_is_decided_as_the_kernel_does(
    mode: int, uid: int, gid: int, user: User, may: bool
) -> None:
    state = os.stat_result((stat.S_IFCHR | mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))
    assert may_open(state, user, {44}, write=True) is may
