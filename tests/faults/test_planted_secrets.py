"""Secrets of a device that goes through every trouble: nothing that anybody can read holds them.

A service with a broker, a camera and a web hook that all want passwords, and with a plugin that puts
its own password into its errors, is reloaded with good and bad files, loses the camera and the
broker, is refused by both, is asked everything, and is killed by a watchdog in the end.
"""

import gzip
import os
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from edgeapp.core.revealed import disguises
from tests.pipelines.device import COMMAND, REPO
from tests.servers.mosquitto import Listener, Mosquitto, wait_until
from tests.servers.rtsp import RtspServer, skip_without_gstreamer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SystemProgram = Callable[[str, str], str]

BROKER = "planted/broker+pass word&9"
CAMERA = "planted:camera@pass/7"
HOOK = "Bearer planted-hook-token-31"
LEAK = "planted-plugin-pass-42"
TYPED = "planted-typed-by-mistake-5"
KEY_LINE = "MIIEvPlantedKeyMaterial0123456789abcdefABCDEF"
SECRETS = (BROKER, CAMERA, HOOK, LEAK, TYPED, KEY_LINE)

MODELS = REPO / "pipelines" / "models"
DETECT = (
    f"{{model: detector, layout: yolox, variants: [{MODELS}/conveyor_96.onnx], "
    f"labels: {MODELS}/conveyor_labels.txt}}"
)
PORCH = """
name: porch
grace_s: 1
stages:
  camera: {{source: camera, device: "{url}", username: env:CAMERA_USER, password: env:CAMERA_PASSWORD}}
  small: {{transform: resize, size: [{width}, {width}]}}
  detect: {detect}
  out: {{output: mqtt, every_s: 0.2}}
"""
HALL = """
name: hall
stages:
  belt: {{source: conveyor, rate_hz: 5, size: [160, 90]}}
  log_in: {{transform: leaky, password: cred:plugin, every: {every}}}
  detect: {detect}
  hook: {{action: webhook, url: "http://127.0.0.1:{hook}/", secret_headers: {{Authorization: cred:hook}}, limit_s: 1}}
  out: {{output: mqtt, from: detect}}
"""
LEAKY = '''
from edgeapp.api import Context, Field, Image, Options, Packet, Secret, transform


class LeakyOptions(Options):
    password: Secret = Field(description="What it logs in with.")
    every: int = Field(ge=2, description="Of pictures, one is not answered.")


@transform("leaky")
class Leaky:
    """Tells its password whenever it fails, as some libraries do."""

    def __init__(self, options: LeakyOptions, context: Context) -> None:
        self._password = options.password.reveal()
        self._every = options.every
        self._context = context

    def process(self, packet: Packet[Image]) -> Image:
        if packet.seq % self._every == self._every - 1:
            self._context.log.warning("logging in", url=f"http://me:{self._password}@door/")
            raise ConnectionError(f"{self._password!r} was refused", {"tried": [self._password]})
        return packet.value
'''
DEVICE = """
device: test
mqtt: {{host: 127.0.0.1, port: {port}, username: cred:broker_user, password: cred:broker, commands: [reload]}}
metrics: {{socket: {metrics}}}
"""
MISTAKES = {
    "typed where it is not allowed": 'password: "planted-typed-by-mistake-5"\nname: porch\nstages: {}\n',
    "not closed": 'name: porch\nstages:\n  camera: {source: camera, password: "planted-typed-by-mistake-5\n',
    "in place of a reference": (
        "name: porch\nstages:\n  camera: {source: camera, device: 'rtsp://10.0.0.7/', username: joe, "
        "password: planted-typed-by-mistake-5}\n"
    ),
    "in the address": (
        "name: porch\nstages:\n"
        "  camera: {source: camera, device: 'rtsp://joe:planted-typed-by-mistake-5@10.0.0.7/'}\n"
    ),
    "a pasted key": f"name: porch\nkey: |\n  -----BEGIN PRIVATE KEY-----\n  {KEY_LINE}\nstages: {{}}\n",
}


class Device:
    """A service as systemd would start it, and all that it lets anybody read."""

    def __init__(self, folder: Path, broker: Mosquitto, camera: str, hook: int) -> None:
        self.folder = folder
        self.told: list[tuple[str, bytes]] = []
        self._camera, self._hook = camera, hook
        for name in ("etc/pipelines", "etc/plugins", "state", "run", "creds"):
            (folder / name).mkdir(parents=True)
        (folder / "run").chmod(0o700)
        device = DEVICE.format(port=broker.port, metrics=folder / "run" / "metrics")
        (folder / "etc/edgeapp.yaml").write_text(device)
        (folder / "etc/plugins/leaky.py").write_text(LEAKY)
        for name, text in {
            "broker_user": "device",
            "broker": BROKER,
            "hook": HOOK,
            "plugin": LEAK,
        }.items():
            (folder / "creds" / name).write_text(text + "\n")
        self.write_porch()
        self.write_hall()
        self.environment = {
            **os.environ,
            "CONFIGURATION_DIRECTORY": str(folder / "etc"),
            "STATE_DIRECTORY": str(folder / "state"),
            "RUNTIME_DIRECTORY": str(folder / "run"),
            "CREDENTIALS_DIRECTORY": str(folder / "creds"),
            "CAMERA_USER": "cam",
            "CAMERA_PASSWORD": CAMERA,
            "EDGEAPP_LOG": "json",
        }
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [COMMAND, "run", "--log-level", "debug"],
            env=self.environment,
            stdout=self._log,
            stderr=self._log,
        )

    def write_porch(self, text: str | None = None, *, width: int = 64) -> None:
        text = PORCH.format(url=self._camera, width=width, detect=DETECT) if text is None else text
        (self.folder / "etc/pipelines/porch.yaml").write_text(text)

    def write_hall(self, every: int = 1000) -> None:
        text = HALL.format(every=every, hook=self._hook, detect=DETECT)
        (self.folder / "etc/pipelines/hall.yaml").write_text(text)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def until(self, said: str, times: int = 1) -> None:
        """Wait until the log says something as often."""
        wait_until(
            lambda: self.process.poll() is not None or self.log().count(said) >= times,
            f"{times} times '{said}' in the log:\n{self.log()[-3000:]}",
            patience_s=60,
        )
        assert self.process.poll() is None, self.log()[-3000:]

    def reload(self) -> None:
        """As `systemctl reload` does."""
        self.process.send_signal(signal.SIGHUP)

    def look(self) -> None:
        """Ask everything that can be asked."""
        for arguments in (
            ["status", "--json"],
            ["status"],
            ["config", "show", "--origin"],
            ["config", "show", "--json"],
            ["check"],
            ["doctor", "--json"],
            ["outbox", "status"],
            ["outbox", "peek"],
            ["service", "dropins"],
            ["reload"],
        ):
            done = subprocess.run(
                [COMMAND, *arguments],
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=120,
                check=False,
            )
            self.told.append((f"edgeapp {' '.join(arguments)}", done.stdout))
        self._bundle()
        self._scrape()
        self.see_processes()

    def _bundle(self) -> None:
        file = self.folder / f"bundle-{len(self.told)}.tar.gz"
        done = subprocess.run(
            [COMMAND, "support-bundle", file],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
        self.told.append(("edgeapp support-bundle", done.stdout))
        assert file.exists(), done.stdout.decode()
        assert len(gzip.decompress(file.read_bytes())) > 1000
        with tarfile.open(file) as bundle:
            for member in bundle.getmembers():
                self.told.append(("bundle", member.name.encode()))
                if (opened := bundle.extractfile(member)) is not None:
                    self.told.append((f"bundle: {member.name}", opened.read()))

    def _scrape(self) -> None:
        for path in ("/metrics", "/healthz", "/readyz"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(20)
                connection.connect(str(self.folder / "run" / "metrics"))
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            assert b"HTTP/1." in answer
            self.told.append((path, answer))

    def see_processes(self) -> None:
        """What any user of the machine may see in a list of processes."""
        ours = psutil.Process(self.process.pid)
        for process in (ours, *ours.children(recursive=True)):
            self.told.append(("argv", "\0".join(process.cmdline()).encode()))

    def ends(self) -> None:
        """What is left on the disk: what the device wrote, of which copies may be made."""
        self._log.close()
        self.told.append(("log", (self.folder / "log").read_bytes()))
        for file in (self.folder / "state").rglob("*"):
            self.told.append(("file", str(file).encode()))
            if file.is_file():
                self.told.append((f"file {file.name}", file.read_bytes()))


@pytest.fixture
def hook() -> Iterator[int]:
    """A port at which somebody listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_nothing_tells_a_secret(
    tmp_path: Path, data_dir: Path, system_program: SystemProgram, hook: int
) -> None:
    skip_without_gstreamer()
    clip = data_dir / "video" / "bottle-detection.mp4"
    passwords = tmp_path / "passwords"
    set_password = system_program("mosquitto_passwd", "mosquitto")
    subprocess.run([set_password, "-b", "-c", passwords, "device", BROKER], check=True)
    broker = Mosquitto(
        system_program("mosquitto", "mosquitto"),
        tmp_path,
        "allow_anonymous true",
        f"password_file {passwords}",
    )
    sub = system_program("mosquitto_sub", "mosquitto-clients")
    with (
        broker,
        RtspServer(clip, ("cam", CAMERA)) as camera,
        Listener(sub, broker.port, "#") as listener,
    ):
        device = Device(tmp_path / "device", broker, camera.url, hook)
        try:
            _trouble(device, broker, camera, listener, passwords, set_password)
        finally:
            device.process.kill()
            device.process.wait()
        device.ends()
        device.told += [(a.topic, a.payload.encode()) for a in listener.arrivals]
    found = {
        (where, secret)
        for where, data in device.told
        for secret in SECRETS
        for form in disguises(secret)
        if form.encode() in data
    }
    assert found == set()
    assert sum(len(data) for _, data in device.told) > 100_000


def _trouble(
    device: Device,
    broker: Mosquitto,
    camera: RtspServer,
    listener: Listener,
    passwords: Path,
    set_password: str,
) -> None:
    device.until("broker reached")
    for topic in ("edgeapp/test/porch/out", "edgeapp/test/hall/out"):
        wait_until(
            lambda: device.process.poll() is not None or bool(listener.payloads(topic)),  # noqa: B023  called at once
            f"{topic}: {device.log()[-3000:]}",
            patience_s=60,
        )
    device.look()

    device.write_hall(every=7)  # from now on its plugin tells
    device.reload()
    device.until('"stage raised"')
    for number, mistake in enumerate(MISTAKES.values(), start=1):
        device.write_porch(mistake)
        device.reload()
        device.until("reload refused", number)
        device.see_processes()
    device.look()

    device.write_porch(width=32)
    device.reload()
    camera.kill()
    device.until("source unavailable")
    device.look()
    camera.start()
    device.until("source available again")

    broker.stop()
    subprocess.run([set_password, "-b", passwords, "device", "another"], check=True)
    broker.start()
    device.until("refuses this user name and password")
    device.look()

    device.write_hall(every=2)  # until it has told too often
    device.reload()
    device.until("keeps raising")
    device.look()

    device.process.send_signal(signal.SIGABRT)  # as systemd does when the heart stops
    wait_until(lambda: device.process.poll() is not None, "it is killed")
    time.sleep(0.1)
    assert "Fatal Python error: Aborted" in device.log(), "with the stacks of its threads"
