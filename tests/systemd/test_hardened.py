"""The unit as systemd runs it: it starts whatever the machine lacks, and the watchdog sees all it needs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeapp.service.systemd.drop_ins import FOLDER, drop_ins
from tests.servers.mosquitto import wait_until
from tests.servers.systemd import Machine, MachinesMissingError
from tests.systemd.test_drop_ins import EVERYTHING, config
from tests.systemd.test_drop_ins import machine as with_groups
from tests.systemd.units import NAME

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROGRAM = "/opt/edgeapp/current/bin/edgeapp"
ON_IT = ("edgeapp", "video", "audio", "gpio", "iio", "dialout")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Machine]:
    """A Debian without a user, a group or a file of ours; but for the unit and what it calls."""
    try:
        with Machine(tmp_path_factory.mktemp("bare") / "disk") as machine:
            machine.copy_in(repo / "edgeapp", "/opt/edgeapp/current/lib/edgeapp")
            machine.copy_in(Path(__file__).parent / "probe.py", "/opt/edgeapp/current/lib")
            start = "#!/bin/sh\nexec /usr/bin/python3 /opt/edgeapp/current/lib/probe.py\n"
            machine.write(PROGRAM, start, mode="0755")
            machine.write(f"/etc/systemd/system/{NAME}", (repo / "systemd" / NAME).read_text())
            machine.systemctl("daemon-reload")
            yield machine
    except MachinesMissingError as error:
        pytest.skip(str(error))


def started(machine: Machine) -> dict[str, Any]:
    """Start it anew; what it sees."""
    ended = machine.do(f"systemctl restart {NAME}").returncode
    said = [line["MESSAGE"] for line in machine.journal(NAME) if "MESSAGE" in line]
    assert ended == 0, "\n".join(said[-30:])
    assert machine.show(NAME, "StatusText") == "well"
    seen: dict[str, Any] = json.loads([line for line in said if line.startswith("seen ")][-1][5:])
    return seen


def put(machine: Machine, files: dict[str, str]) -> None:
    """Exactly these drop-ins."""
    machine.run(f"rm -rf {FOLDER}")
    for name, text in files.items():
        machine.write(str(FOLDER / name), text)
    machine.systemctl("daemon-reload")


def test_it_starts_on_a_bare_debian(bare: Machine) -> None:
    """Without user, configuration, guard and groups; and may write what is its own alone."""
    seen = started(bare)
    assert 61_184 <= seen["uid"] <= 65_519  # made up by systemd
    assert all(seen["refused"].values())
    assert seen["sys"] == "ro"
    assert seen["nodes"].count("null") == 1
    bare.run("test ! -e /etc/edgeapp")


def test_the_watchdog_reads_inside_what_it_reads_outside(bare: Machine) -> None:
    outside = json.loads(
        bare.run("python3 /opt/edgeapp/current/lib/probe.py").partition("seen ")[2]
    )
    inside = started(bare)
    assert inside["signals"] == outside["signals"]
    assert inside["values"] == outside["values"]
    assert inside["values"]["load"]
    assert inside["values"]["memory"]


def test_a_hangup_reaches_it(bare: Machine) -> None:
    """By `systemctl reload`, on a Debian without /bin/kill."""
    started(bare)
    bare.systemctl("reload", NAME)
    wait_until(lambda: "hung up" in str(bare.journal(NAME)), "the hangup")
    assert bare.show(NAME, "ActiveState") == "active"


def test_with_all_drop_ins_it_has_what_they_promise(bare: Machine, tmp_path: Path) -> None:
    """A user, groups, and secrets; a file of them that is gone ends no start; what was kept stays."""
    runs = started(bare)["runs"]
    for group in ON_IT:
        bare.run(f"getent group {group} || groupadd --system {group}")
        bare.run(f"install -m 040 -g {group} /dev/null /srv/{group}")
    bare.run("useradd --system --gid edgeapp --no-create-home edgeapp")
    bare.write("/etc/edgeapp/secrets/mqtt_user", "ann", mode="0600")
    bare.run("mkdir -p '/mnt/usb stick' '/mnt/\"quoted\"' '/mnt/100 %' '/mnt/back\\slash'")
    put(bare, drop_ins(EVERYTHING, config(), with_groups(tmp_path / "machine")).files)
    bare.run("mount -o remount,rw /sys")  # as on a device
    seen = started(bare)
    bare.run("mount -o remount,ro /sys")
    assert seen["reads"] == sorted(ON_IT)
    assert seen["runs"] == runs + 1
    assert seen["state"] == "/var/lib/edgeapp"
    assert seen["credentials"] == {"mqtt_user": "ann", "mqtt.password-2": "\n"}
    assert all(seen["refused"].values())
    assert seen["devices"] == "rw"
    assert seen["sys"] == "ro"
    bare.run("rm /etc/edgeapp/secrets/mqtt_user")
    assert started(bare)["credentials"]["mqtt_user"] == "\n"


def test_what_was_kept_stays_when_the_user_goes_and_comes(bare: Machine, tmp_path: Path) -> None:
    """Systemd moves the folder between /var/lib and /var/lib/private."""
    put(bare, {})
    first = started(bare)
    assert first["state"] == "/var/lib/private/edgeapp"
    bare.run("getent passwd edgeapp || useradd --system --user-group edgeapp")
    put(bare, drop_ins(EVERYTHING, config(), with_groups(tmp_path, ("edgeapp",))).files)
    second = started(bare)
    assert second["state"] == "/var/lib/edgeapp"
    put(bare, {})
    assert [one["runs"] - first["runs"] for one in (second, started(bare))] == [1, 2]
