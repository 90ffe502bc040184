"""The service comes up whatever is wrong, in a process of its own, and can be asked."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from edgeapp.cli import exits
from edgeapp.errors import Unavailable
from edgeapp.service.control.client import ask
from edgeapp.service.starts.good import GoodFiles
from edgeapp.service.starts.start import healthy_start
from tests.cli.conftest import PUMP
from tests.servers.mosquitto import free_port

ROOT = Path(__file__).resolve().parents[2]
WHY = "3 starts ended within seconds"

pytestmark = pytest.mark.slow


class Device:
    """Folders of a service in a test's folder."""

    def __init__(self, folder: Path) -> None:
        self.etc, self.data, self.run = folder / "etc", folder / "data", folder / "run"
        self.stubs = folder / "stubs"
        self.started: subprocess.Popen[str] | None = None
        for one in (self.etc / "pipelines", self.data, self.run, self.stubs):
            one.mkdir(parents=True)

    def break_wheels(self) -> None:
        """Let imports fail as they do where a library of the system is missing."""
        for name in ("numpy", "cv2", "onnxruntime"):
            broken = "raise ImportError('libfoo.so.1: no such file')\n"
            (self.stubs / f"{name}.py").write_text(broken)

    def environment(self) -> dict[str, str]:
        """That of whatever runs on this device."""
        return {
            **os.environ,
            "PYTHONPATH": f"{self.stubs}:{ROOT}",
            "CONFIGURATION_DIRECTORY": str(self.etc),
            "STATE_DIRECTORY": str(self.data),
            "RUNTIME_DIRECTORY": str(self.run),
        }

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A command that somebody gives on this device."""
        return subprocess.run(
            [sys.executable, "-m", "edgeapp", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=self.environment(),
        )

    @contextmanager
    def service(self, mode: str, trial_s: str = "") -> "Iterator[subprocess.Popen[str]]":
        """`edgeapp run` as the unit starts it, until the block ends; it is stopped then."""
        started = subprocess.Popen(
            [sys.executable, "-m", "edgeapp", "run"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **self.environment(),
                "EDGEAPP_START_ID": "0a1b2c3d-4",
                "EDGEAPP_START_MODE": mode,
                "EDGEAPP_START_WHY": WHY,
                "EDGEAPP_START_TRIAL_S": trial_s,
            },
        )
        self.started = started
        try:
            yield started
        finally:
            if started.poll() is None:
                started.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                started.wait(30)
            if started.poll() is None:
                started.kill()

    def status(self, met: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The status, once it is there and as wanted."""
        deadline = time.monotonic() + 60
        last: object = None
        while time.monotonic() < deadline:
            try:
                [frame] = list(ask(self.run, "status", {"window_s": 0.05}))
            except Unavailable as error:
                last = error
                if self.started is not None and self.started.poll() is not None:
                    raise AssertionError(self.started.communicate()[1]) from None
                time.sleep(0.05)
                continue
            if met(frame.facts):
                return frame.facts
            last = frame.facts
        assert self.started is not None
        self.started.send_signal(signal.SIGABRT)  # it says what it is at
        raise AssertionError(f"not as wanted: {last!r}; {self.started.communicate()[1]}")


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device whose pipelines nobody has written yet."""
    return Device(tmp_path)


def ended(started: "subprocess.Popen[str]") -> tuple[int, str]:
    out, err = started.communicate(timeout=60)
    assert out == "", "in service mode nothing is printed but the log"
    return started.returncode, err


@pytest.mark.parametrize("what", ["pipelines", "plugins", "device", "wheels", "nothing"])
def test_safe_mode_comes_up_whatever_is_broken(device: Device, what: str) -> None:
    device.etc.joinpath("edgeapp.yaml").write_text("device: line-3\n")
    device.etc.joinpath("pipelines/pump.yaml").write_text(PUMP)
    if what == "pipelines":
        device.etc.joinpath("pipelines/pump.yaml").write_text("}{")
    elif what == "plugins":
        plugins = device.etc / "plugins"
        plugins.mkdir()
        plugins.joinpath("bad.py").write_text("import os\nos.abort()\n")
    elif what == "device":
        device.etc.joinpath("edgeapp.yaml").write_text("device: [")
    elif what == "wheels":
        device.break_wheels()
    else:
        device.etc.joinpath("pipelines/pump.yaml").unlink()
        device.etc.joinpath("edgeapp.yaml").unlink()
    with device.service("safe") as started:
        facts = device.status()
        assert facts["start"] == {"mode": "safe", "why": WHY}
        assert facts["pipelines"] == []
        assert facts["health"]["health"] == "safe"
    code, log = ended(started)
    assert code == 0
    assert "safe mode: no pipeline runs" in log
    assert WHY in log


def test_safe_mode_keeps_messages_and_answers_commands_without_wheels(device: Device) -> None:
    """Neither the outbox, nor commands over MQTT, nor monitoring needs what pipelines stand on."""
    socket = device.run / "metrics.sock"
    device.etc.joinpath("edgeapp.yaml").write_text(
        f"mqtt: {{host: 127.0.0.1, port: {free_port()}}}\nmetrics: {{socket: {socket}}}\n"
    )
    device.break_wheels()
    with device.service("safe") as started:
        facts = device.status(lambda now: now["uplink"]["problem"] and socket.exists())
        assert facts["uplink"]["outbox_store"] == "disk"
        status, outbox, doctor = (device.command(w) for w in ("status", "outbox", "doctor"))
    assert "in safe mode" in status.stdout, status
    assert (status.returncode, status.stderr) == (1, "")
    assert "outbox-1.db" in outbox.stdout, outbox
    assert (outbox.returncode, outbox.stderr) == (0, "")
    assert "numpy cannot be imported: libfoo.so.1: no such file" in doctor.stdout, doctor
    assert (doctor.returncode, doctor.stderr) == (1, "")
    code, log = ended(started)
    assert code == 0
    assert "crashed" not in log


def test_a_start_with_a_broken_wheel_is_one_that_the_guard_counts(device: Device) -> None:
    """After a mistake in a file the service manager starts nothing; after this it tries again."""
    device.etc.joinpath("pipelines/pump.yaml").write_text(PUMP)
    device.break_wheels()
    with device.service("normal") as started:
        said = started.communicate(timeout=60)[1]
    assert started.returncode == exits.BUG, said


def test_what_was_good_runs_while_what_is_there_stays_untouched(device: Device) -> None:
    file = device.etc / "pipelines" / "pump.yaml"
    GoodFiles(device.data).keep(file, PUMP.encode())
    file.write_text("}{")
    with device.service("last-good") as started:
        facts = device.status(lambda now: now["pipelines"][0]["state"] == "running")
        assert facts["start"] == {"mode": "last-good", "why": WHY}
        assert [one["name"] for one in facts["pipelines"]] == ["pump"]
        assert file.read_text() == "}{"
    code, log = ended(started)
    assert code == 0
    assert "the configuration that was good last runs, not the one that is there" in log


def test_a_reload_in_safe_mode_tries_again_and_ends_the_process_when_all_is_right(
    device: Device,
) -> None:
    file = device.etc / "pipelines" / "pump.yaml"
    file.write_text("}{")
    with device.service("safe") as started:
        device.status()
        started.send_signal(signal.SIGHUP)
        assert started.stderr is not None
        while "reload refused" not in (said := started.stderr.readline()):
            assert said, "the log ended"
        assert started.poll() is None, "what is wrong ends nothing"
        file.write_text(PUMP)
        started.send_signal(signal.SIGHUP)
        code, _ = ended(started)
    assert code == 0
    assert healthy_start(device.data) == "0a1b2c3d-4", "the next start is a normal one"
    with device.service("normal") as started:
        facts = device.status(lambda now: now["pipelines"][0]["state"] == "running")
        assert facts["start"]["mode"] == "normal"
    assert ended(started)[0] == 0


def test_a_start_that_goes_well_says_so_and_keeps_the_configuration(device: Device) -> None:
    device.etc.joinpath("edgeapp.yaml").write_text("device: line-3\n")
    device.etc.joinpath("pipelines/pump.yaml").write_text(PUMP)
    with device.service("normal") as started:
        deadline = time.monotonic() + 60
        while not healthy_start(device.data) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert healthy_start(device.data) == "0a1b2c3d-4"
    assert ended(started)[0] == 0
    good = GoodFiles(device.data)
    assert good.text_of(device.etc / "edgeapp.yaml") == b"device: line-3\n"
    assert good.text_of(device.etc / "pipelines/pump.yaml") == PUMP.encode()


def test_a_version_on_trial_that_runs_but_is_not_well_ends_with_a_code_of_its_own(
    device: Device,
) -> None:
    """In order, so that nothing is lost; the guard knows it by the code, and goes back."""
    device.etc.joinpath("pipelines/pump.yaml").write_text(PUMP)
    with device.service("normal", trial_s="1") as started:
        said = started.communicate(timeout=60)[1]
    assert started.returncode == 75
    assert "did not become healthy in time" in said
    assert healthy_start(device.data) == ""
