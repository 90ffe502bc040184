"""The shipped unit under a real systemd: what a person who left the device alone relies on."""

import os
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.servers.mosquitto import wait_until
from tests.systemd.device import DATA, PIPELINES, START_PATIENCE_S, UNIT, Device

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STOP_S = 5.0
"""Promised, and how long a stop may take."""
PUMP = f"{PIPELINES}/predictive_maintenance.yaml"
SENSORS = """
set -e
mount -t tmpfs tmpfs /sys/class/thermal
mkdir /sys/class/thermal/thermal_zone0
cd /sys/class/thermal/thermal_zone0
echo cpu-thermal >type; echo 48250 >temp; echo 80000 >trip_point_0_temp; echo passive >trip_point_0_type
mount -t tmpfs tmpfs /sys/class/power_supply
mkdir /sys/class/power_supply/AC0 /sys/class/power_supply/BAT0
cd /sys/class/power_supply
echo Mains >AC0/type; echo 1 >AC0/online
echo Battery >BAT0/type; echo 88 >BAT0/capacity; echo Discharging >BAT0/status
echo 30000000 >BAT0/energy_now; echo 40000000 >BAT0/energy_full; echo 5000000 >BAT0/power_now
"""
"""A die and a battery, where the kernel shows them."""


@pytest.fixture(autouse=True)
def up(device: Device) -> None:
    """Each test begins with the service up, as it was installed."""
    if not device.broker.running:
        device.broker.start()
    if not device.is_up():
        device.start()


@pytest.fixture
def pump_file(device: Device) -> Iterator[str]:
    """The text of the pump's pipeline, which may be edited."""
    text = device.machine.run(f"cat {PUMP}")
    yield text
    device.write(PUMP, text)
    device.start()


def is_whole(messages: list[dict[str, Any]]) -> bool:
    """Whether only what is named lost is missing between the first and the last."""
    return all(
        (after["epoch"], after["seq"]) == (before["epoch"], before["seq"] + 1 + after["lost"])
        for before, after in pairwise(messages)
    )


def wait_nothing_missing(device: Device, topic: str, heard: int) -> None:
    """Wait until all is here from this message on: of its run of the service, and of later ones.

    In whichever order and however often, for what waited comes beside what is new. Of the last run
    some is new. What is lost is named.
    """

    def nothing_missing() -> bool:
        runs: dict[str, dict[int, dict[str, Any]]] = {}
        for message in device.told(topic)[heard:]:
            run = message["boot"] + message["id"].split("/")[1]
            runs.setdefault(run, {})[message["seq"]] = message
        first, *later = ([of_run[seq] for seq in sorted(of_run)] for of_run in runs.values())
        return (
            any(not message["replay"] for message in (later[-1] if later else ()))
            and all(of_run[0]["seq"] == of_run[0]["lost"] for of_run in later)
            and all(is_whole(of_run) for of_run in (first, *later))
        )

    wait_until(nothing_missing, f"all of {topic}", patience_s=START_PATIENCE_S)


def test_it_installs_without_a_network_and_is_ready(device: Device) -> None:
    """`install.sh` ends when the service is well; results reach a client outside."""
    assert device.show("Type") == "notify"
    assert device.show("NRestarts") == "0"
    device.wait_told("inspection/parts")
    device.wait_told("pump-7/trend")
    device.timings["start to READY"] = device.start()
    assert device.is_up()


def test_its_status_is_a_sentence(device: Device) -> None:
    sentence = re.compile(r"inspection \d+(\.\d+)?/s at conveyor_\d+, pump-7 .*outbox \d+")
    wait_until(lambda: sentence.search(device.show("StatusText")) is not None, "it says how it is")
    assert "inspection" in device.machine.run("systemctl status --no-pager --lines=0 edgeapp")


def test_the_journal_is_asked_by_pipeline_and_event(device: Device) -> None:
    """Facts are fields, not only words."""
    since = device.cursor()
    device.start()
    (ended,) = device.logged(since, EDGEAPP_PIPELINE="pump-7", EDGEAPP_EVENT="pipeline ended")
    assert ended["EDGEAPP_ENDING"] == "stopped"
    assert ended["_SYSTEMD_UNIT"] == UNIT


def test_the_hardening_costs_the_governor_no_reading(device: Device) -> None:
    """What it finds under the unit is what it finds as root without any."""
    machine = device.machine
    machine.run(SENSORS)
    free_device = "/srv/free.yaml"
    mqtt = f"{{host: {machine.outside}, port: 1883}}"
    machine.write(free_device, f"device: free\nmqtt: {mqtt}\ndata_dir: /srv/free\n")
    device.start()
    run = machine.run(f"cat {DATA}/run").strip()  # those of the run before may come late
    hardened = device.wait_told("governor/signals", lambda told: told["id"].split("/")[1] == run)
    machine.run(
        "systemd-run --quiet --unit=free /opt/edgeapp/current/bin/edgeapp run"
        f" {PIPELINES}/inspection_demo.yaml --device {free_device} --plain"
    )
    try:
        free = device.wait_told("governor/signals", name="free")
    finally:
        machine.run("systemctl stop free; umount -l /sys/class/thermal /sys/class/power_supply")
    found = {signal["name"]: signal["where"] for signal in hardened["signals"] if signal["found"]}
    assert found == {s["name"]: s["where"] for s in free["signals"] if s["found"]}
    assert {"die temperature", "battery", "cpu pressure", "memory pressure", "load"} <= set(found)


def test_a_reload_restarts_only_what_changed(device: Device, pump_file: str) -> None:
    """The other pipeline loses no packet."""
    topic, since = "inspection/parts", device.cursor()
    device.wait_told(topic, after=len(device.told(topic)))
    pid, heard = device.show("MainPID"), len(device.told(topic))
    device.write(PUMP, pump_file.replace("every_s: 2", "every_s: 1"))
    device.machine.systemctl("reload", UNIT)
    device.wait_logged("reloaded", since)
    device.wait_told(topic, after=len(device.told(topic)) + 30)
    assert is_whole(device.told(topic)[heard:])
    assert device.show("MainPID") == pid
    (told,) = device.logged(since, EDGEAPP_EVENT="reloaded")
    assert (told["EDGEAPP_STARTED"], told["EDGEAPP_UNCHANGED"]) == ("pump-7", "inspection")


def test_a_reload_of_a_bad_file_changes_nothing(device: Device, pump_file: str) -> None:
    """The complaint is in the journal and on MQTT; what ran runs."""
    topic, since = "inspection/parts", device.cursor()
    device.wait_told("pump-7/trend", after=len(device.told("pump-7/trend")))
    pid = device.show("MainPID")
    heard, pump_heard = len(device.told(topic)), len(device.told("pump-7/trend"))
    device.write(PUMP, pump_file.replace("length_s: 1.0", "lenght_s: 1.0"))
    device.machine.systemctl("reload", UNIT)
    device.wait_logged("reload refused", since)
    refused = device.wait_told("config", lambda message: message["refused"])["refused"]
    assert "predictive_maintenance.yaml:16" in refused
    assert "lenght_s" in refused
    assert "predictive_maintenance.yaml:16" in device.text(since)
    device.wait_told(topic, after=heard + 15)
    device.wait_told("pump-7/trend", after=pump_heard + 1)
    before, *_, after = device.told("pump-7/trend")[pump_heard - 1 :]
    assert after["epoch"] == before["epoch"]
    assert after["seq"] > before["seq"]
    assert device.show("MainPID") == pid
    device.write(PUMP, pump_file)
    config_heard = len(device.told("config"))
    device.machine.systemctl("reload", UNIT)
    device.wait_told("config", lambda message: not message["refused"], after=config_heard)


def test_a_stop_is_quick_and_loses_nothing_that_waits(device: Device) -> None:
    """The broker away, messages waiting, stop, start, the broker back: all are delivered."""
    topic = "inspection/parts"
    device.start()
    device.wait_told(topic, after=len(device.told(topic)))
    heard, since = len(device.told(topic)) - 1, device.cursor()
    device.broker.stop()
    device.wait_logged("no connection to the broker", since)
    time.sleep(2)  # so that something waits: the pace is the pipeline's own
    began_s = time.monotonic()
    device.machine.systemctl("stop", UNIT)
    took_s = time.monotonic() - began_s
    device.timings["stop, broker away"] = took_s
    assert device.show("Result") == "success"
    device.machine.systemctl("start", UNIT)
    device.broker.start()
    wait_nothing_missing(device, topic, heard)
    assert took_s <= STOP_S


def test_a_typo_is_told_and_does_not_restart_loop(device: Device) -> None:
    """Exit code 78, with the line and a caret in the journal; mended, it starts."""
    since = device.cursor()
    device.machine.systemctl("stop", UNIT)
    device.write("/etc/edgeapp/conf.d/90-typo.yaml", "mqtt: {hots: broker}\n")
    device.machine.systemctl("start", UNIT, expect=1)
    assert device.show("ExecMainStatus") == "78"
    assert device.show("ActiveState") == "failed"
    said = device.text(since)
    assert "90-typo.yaml:1:8" in said
    assert "^" in said
    time.sleep(3)  # more than RestartSec
    assert device.show("ActiveState") == "failed"
    assert device.show("NRestarts") == "0"
    device.machine.run("rm /etc/edgeapp/conf.d/90-typo.yaml")
    device.machine.systemctl("start", UNIT)
    device.wait_up()


def test_a_typo_in_a_file_that_was_good_runs_what_was_good(device: Device, pump_file: str) -> None:
    """At a start, too: the device goes on, and says that it does so with an older file."""
    since = device.cursor()
    wait_until(lambda: "pump-7" in device.machine.run(f"cat {DATA}/good/* || true"), "it is kept")
    device.write(PUMP, pump_file.replace("length_s: 1.0", "lenght_s: 1.0"))
    device.start()
    device.wait_told("config", lambda message: message["last_good"])
    assert "predictive_maintenance.yaml:16" in device.text(since)


def test_limits_of_the_unit_are_those_of_the_kernel(device: Device) -> None:
    """Not only written in a file."""
    machine = device.machine
    if not {"memory", "pids"} <= machine.limits:
        pytest.skip("this machine hands on no limits of memory and processes")
    group = machine.show(UNIT, "ControlGroup")
    files = f"/sys/fs/cgroup/pids{group}/pids.max /sys/fs/cgroup{group}/pids.max"
    assert machine.run(f"cat {files} 2>/dev/null || true").split() == ["256"]
    names = (
        f"/sys/fs/cgroup/memory{group}/memory.limit_in_bytes",
        f"/sys/fs/cgroup{group}/memory.max",
    )
    limit = int(machine.run(f"cat {' '.join(names)} 2>/dev/null || true").split()[0])
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0.7 * whole < limit < 0.9 * whole
