"""A new version that is well takes over for good: nothing that waits is lost, nothing of a person's changes."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.bundle import bundle
from tests.systemd.device import FIRST, Device
from tests.systemd.test_service import wait_nothing_missing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NEXT = "9.1.0"
OPT = "/opt/edgeapp"
SECRET = "/etc/edgeapp/secrets/camera"
PARTS = "inspection/parts"
TOPICS = (PARTS, "pump-7/trend")


@pytest.fixture(scope="module")
def next_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of edgeapp, built once more as another version."""
    return bundle(tmp_path_factory.mktemp("next") / "bundle", NEXT)


@pytest.fixture
def up(device: Device) -> Iterator[Device]:
    """The device, whose configuration holds a secret, too."""
    if not device.broker.running:
        device.broker.start()
    device.machine.write(SECRET, "not for anybody", mode="0600")
    device.start()
    yield device
    device.machine.run(f"rm {SECRET}")


def of_people(device: Device) -> str:
    """What a person wrote, and who may read it."""
    look = "find /etc/edgeapp -printf '%p %M %U %G %T@\\n'; find /etc/edgeapp -type f -exec sha256sum {} +"
    return device.machine.run(f"({look}) | sort")


def assert_it_runs(device: Device, version: str, *, instead_of: str, after: int) -> None:
    """As it is configured, for good, and with a way back."""
    machine = device.machine
    assert device.version == version
    assert machine.run("edgeapp --version").strip() == version
    told = device.wait_told("health", lambda m: m["version"] == version, after=after)
    assert {one["pipeline"] for one in told["pipelines"]} == {"inspection", "pump-7"}
    assert machine.do(f"test -e {OPT}/state/trial").returncode == 1
    assert machine.run(f"cat {OPT}/state/previous").strip() == instead_of
    assert set(machine.run(f"ls {OPT}/versions").split()) == {version, instead_of}
    assert machine.run(f"{OPT}/versions/{instead_of}/bin/edgeapp --version").strip() == instead_of
    started = machine.run("cat /run/edgeapp-guard/start.env").splitlines()
    assert "EDGEAPP_START_MODE=normal" in started
    assert device.show("NRestarts") == "0"


def test_an_upgrade_that_is_well_stays_and_a_downgrade_by_hand_goes_back(
    up: Device, next_bundle: Path
) -> None:
    """While both pipelines run, the broker is away and messages wait."""
    device, before = up, up.version
    written = of_people(device)
    for topic in TOPICS:
        device.wait_told(topic, after=len(device.told(topic)))
    health, since = len(device.told("health")), device.cursor()
    gaps = len(device.told("gap"))
    device.broker.stop()
    device.wait_logged("no connection to the broker", since)

    said = device.install(bundle=next_bundle)
    device.timings["upgrade"] = device.timings["install.sh"]
    assert f"edgeapp {NEXT} runs and is well." in said
    heard = {topic: len(device.told(topic)) for topic in TOPICS}  # nothing came for long
    device.broker.start()
    assert_it_runs(device, NEXT, instead_of=before, after=health)
    assert of_people(device) == written
    wait_nothing_missing(device, PARTS, heard[PARTS] - 1)
    for topic in TOPICS:
        device.wait_told(topic, lambda message: not message["replay"], after=heard[topic] + 5)
        told = device.told(topic)
        # What was on its way when the broker went is sent once more, as the protocol has it.
        known = {message["id"] for message in told[: heard[topic]]}
        times = Counter(message["id"] for message in told[heard[topic] :])
        assert {name for name, number in times.items() if number > 1} <= known
    assert len(device.told("gap")) == gaps

    health = len(device.told("health"))
    refused = device.install(folder=FIRST, expect=1)
    assert "--downgrade" in refused
    assert device.version == NEXT
    device.install("--downgrade", folder=FIRST)
    device.timings["downgrade"] = device.timings["install.sh"]
    assert_it_runs(device, before, instead_of=NEXT, after=health)
    assert of_people(device) == written
    device.wait_told(PARTS, after=len(device.told(PARTS)))
