"""What does not come up, be it a version or a configuration, is taken back without anybody near."""

import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.servers.mosquitto import wait_until
from tests.servers.small_versions import small_bundle
from tests.systemd.device import BUNDLE, DATA, PIPELINES, UNIT, Device

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 6
HEALTH_S = "20"
OPT = "/opt/edgeapp"
CRASH = "/srv/crash"
PLUGINS = "/etc/edgeapp/plugins"
CRASHES = """
import os
from pathlib import Path

from edgeapp.api import Context, Options, Packet, Score, action


@action("crashes")
class Crashes:
    def __init__(self, options: Options, context: Context) -> None:
        if Path("/srv/crash").exists():
            os.abort()

    def act(self, packet: Packet[Score]) -> None:
        pass
"""
CRASHING = """
name: crashing
stages:
  pump: {source: bearing}
  second: {transform: window, length_s: 1.0}
  features: {transform: features}
  health: {transform: anomaly, learn_s: 5}
  crash: {action: crashes}
"""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Versions after the installed one, by their manners."""
    folder = tmp_path_factory.mktemp("bundles")
    manners = ("well", "crashing", "refusing", "never well", "ill")
    return {manner: small_bundle(folder / manner, "9.0", manner) for manner in manners}


@pytest.fixture
def upgraded(device: Device) -> Iterator[Device]:
    """The device as it was installed; whatever is tried is rolled back."""
    if not device.is_up():
        device.start()
    yield device
    device.wait_up()


def comes_back(device: Device, version: str) -> None:
    """The version before runs, and results come again."""
    assert device.version == version
    device.wait_up()
    topic = "inspection/parts"
    device.wait_told(topic, after=len(device.told(topic)))


@pytest.mark.parametrize("manner", ["crashing", "refusing", "never well"])
def test_a_failing_upgrade_goes_back(
    manner: str, upgraded: Device, bundles: dict[str, Path]
) -> None:
    """By itself: `install.sh` watches, and says so with exit code 3."""
    before = upgraded.version
    began_s = time.monotonic()
    said = upgraded.install("--health-s", HEALTH_S, bundle=bundles[manner], expect=3)
    upgraded.timings[f"upgrade that is {manner}, until it is taken back"] = (
        time.monotonic() - began_s
    )
    assert f"{before} runs again" in said
    comes_back(upgraded, before)
    assert "User=edgeapp" in upgraded.machine.systemctl("cat", UNIT)  # its drop-ins are back, too


def test_an_upgrade_that_crashes_goes_back_without_the_installer(
    upgraded: Device, bundles: dict[str, Path]
) -> None:
    """As when the terminal was closed: the guard takes it back at the third start."""
    before, since = upgraded.version, upgraded.cursor()
    upgraded.install("--health-s", "0", bundle=bundles["crashing"])
    assert upgraded.version != before
    wait_until(lambda: upgraded.version == before, "it is taken back", patience_s=60)
    comes_back(upgraded, before)
    assert "guard" in upgraded.text(since)


def test_an_upgrade_that_takes_the_machine_down_goes_back(
    upgraded: Device, bundles: dict[str, Path]
) -> None:
    """Nobody is left to see its starts fail, and no boot knows of the one before."""
    machine, before = upgraded.machine, upgraded.version

    def noted(number: int) -> bool:
        return len(machine.do(f"tail -n +3 {OPT}/state/trial").stdout.split()) == number

    upgraded.install("--health-s", "0", bundle=bundles["ill"])
    for number in range(1, 4):
        wait_until(partial(noted, number), "its start is noted")
        assert upgraded.version != before
        machine.cut_power()
        machine.boot()
    comes_back(upgraded, before)
    assert "in 3 starts: this is version" in upgraded.text()
    assert machine.do(f"test -e {OPT}/state/trial").returncode == 1


def test_an_upgrade_killed_at_any_instant_leaves_a_version_that_starts(
    upgraded: Device, bundles: dict[str, Path]
) -> None:
    """Kill -9 of the installer and all that it started; then the device is switched off and on."""
    machine, before = upgraded.machine, upgraded.version
    machine.run(f"rm -rf {OPT}/versions/9.0*")  # other builds of before: else it has another name
    chance = random.Random(1)
    upgraded.carry(bundles["well"])
    upgraded.install("--health-s", HEALTH_S)
    whole_s = upgraded.timings["install.sh"]
    versions = {before, upgraded.version}
    left: list[str] = []
    for number in range(KILLS):
        machine.run(f"ln -sfn versions/{before} {OPT}/current; rm -rf {OPT}/versions/9.0*")
        machine.run(f"rm -f {OPT}/state/trial {OPT}/state/previous")
        machine.run(f"systemd-run --quiet --collect --unit=upgrade {BUNDLE}/install.sh")
        time.sleep(whole_s * (number + chance.random()) / KILLS)
        machine.do("systemctl kill --signal=KILL upgrade")
        machine.systemctl("stop", UNIT)
        upgraded.start()
        assert upgraded.version in versions
        left.append(upgraded.version)
    print(left)
    machine.run(f"{BUNDLE}/install.sh --health-s {HEALTH_S}", limit_s=120)
    machine.run(f"{BUNDLE}/install.sh --rollback --health-s {HEALTH_S}", limit_s=120)
    comes_back(upgraded, before)


@pytest.fixture
def crashing(upgraded: Device) -> Iterator[Device]:
    """The device with a pipeline more, which brings the process down while a file is there."""
    machine = upgraded.machine
    machine.write(f"{PLUGINS}/crashes.py", CRASHES)
    kept = f"grep -lr 'name: inspection' {DATA}/good"
    wait_until(lambda: machine.do(kept).returncode == 0, "it is kept as good", patience_s=120)
    upgraded.write(f"{PIPELINES}/crashing.yaml", CRASHING)
    try:
        yield upgraded
    finally:
        machine.run(f"rm -rf {CRASH} {PLUGINS} {PIPELINES}/crashing.yaml")
        upgraded.start()


def test_a_new_configuration_that_crashes_gives_way_to_the_last_good_one(
    crashing: Device,
) -> None:
    """After three starts; the log, MQTT and `edgeapp status` say so, and /etc stays as it is."""
    device, machine, since = crashing, crashing.machine, crashing.cursor()
    machine.write(CRASH, "")
    heard = len(device.told("health"))
    machine.systemctl("restart", "--no-block", UNIT)
    device.wait_logged("the last good configuration is used", since)
    device.wait_up()
    told = device.wait_told("health", lambda m: "last good" in m["why"], after=heard)
    assert "crashing" not in {one["pipeline"] for one in told["pipelines"]}
    topic = "inspection/parts"
    device.wait_told(topic, after=len(device.told(topic)))
    assert "last good" in machine.do("edgeapp status").stdout
    machine.run(f"test -e {PIPELINES}/crashing.yaml")


def test_where_the_good_configuration_crashes_too_a_safe_mode_is_left(crashing: Device) -> None:
    """Three starts more: no pipelines, but somebody who says so."""
    device, machine = crashing, crashing.machine
    device.start()
    kept = f"grep -lr 'name: crashing' {DATA}/good"
    wait_until(lambda: machine.do(kept).returncode == 0, "it is kept as good", patience_s=120)
    heard, since = len(device.told("health")), device.cursor()
    machine.write(CRASH, "")
    machine.systemctl("restart", "--no-block", UNIT)
    device.wait_logged("safe mode: no pipeline runs", since, patience_s=180)
    device.wait_up()
    told = device.wait_told("health", lambda m: m["health"] == "safe", after=heard)
    assert told["pipelines"] == []
    assert "safe mode" in machine.do("edgeapp status").stdout
    wait_until(lambda: "safe" in device.show("StatusText"), "its status says so")
    assert device.text(since).count("code=killed, status=6/ABRT") >= 6
