"""One machine for all tests of this folder that want an installed device."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.bundle import bundle
from tests.servers.mosquitto import Listener, Mosquitto
from tests.servers.systemd import Machine, MachinesMissingError
from tests.systemd.device import BUNDLE, FIRST, PIPELINES, PORT, Device

MADE_FOR = (3, 11)
"""The Python of the Debian that is booted."""


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted Debian with nothing of ours."""
    try:
        with Machine(tmp_path_factory.mktemp("machine") / "disk") as machine:
            yield machine
    except MachinesMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def shown_pipelines(repo: Path) -> dict[str, str]:
    """A camera's and a pump's, as they are in this repository."""
    names = ("inspection_demo", "predictive_maintenance")
    return {name: (repo / "pipelines" / f"{name}.yaml").read_text() for name in names}


@pytest.fixture(scope="session")
def device(
    machine: Machine,
    tmp_path_factory: pytest.TempPathFactory,
    system_program: Callable[[str, str], str],
    shown_pipelines: dict[str, str],
    repo: Path,
) -> Iterator[Device]:
    """The machine with edgeapp on it, as `install.sh` leaves it, with two pipelines."""
    if sys.version_info[:2] != MADE_FOR:
        pytest.skip("the wheels of these tests are for Debian's Python: run them with 3.11")
    broker_program = system_program("mosquitto", "mosquitto")
    listener_program = system_program("mosquitto_sub", "mosquitto-clients")
    carried = bundle(tmp_path_factory.mktemp("bundle") / "bundle")
    folder = tmp_path_factory.mktemp("broker")
    outside = ("allow_anonymous true", f"listener {PORT} {machine.outside}")
    with (
        Mosquitto(broker_program, folder, *outside) as broker,
        Listener(listener_program, broker.port, "edgeapp/#") as listener,
    ):
        device = Device(machine, broker, listener)
        machine.copy_in(carried, BUNDLE)
        machine.run(f"cp --archive --link {BUNDLE} {FIRST}")
        shutil.rmtree(carried)
        machine.copy_in(repo / "pipelines" / "models", f"{PIPELINES}/models")
        device.configure(shown_pipelines)
        device.install()
        device.timings["install"] = device.timings["install.sh"]
        yield device
        if figures := os.environ.get("EDGEAPP_FIGURES"):  # of benchmarks/service_systemd.py
            Path(figures).write_text(json.dumps(device.timings))
