"""The sample broker, for real: what each user may say and hear, and what not."""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pipelines.device import Running
from tests.servers.mosquitto import free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

USERS = ("porch-1", "yard-2", "test", "monitor", "operator", "homeassistant")
PASSWORD = "no-secret"  # of a test
Find = Callable[[str, str], str]
Heard = Callable[[], list[str]]
"""What has been heard so far: topics."""

MAY_WRITE = (
    ("porch-1", "edgeapp/porch-1/status"),
    ("porch-1", "edgeapp/porch-1/health"),
    ("porch-1", "edgeapp/porch-1/porch/camera/silent"),
    ("porch-1", "edgeapp/porch-1/governor/state"),
    ("porch-1", "edgeapp/porch-1/reply/app"),
    ("porch-1", "homeassistant/device/edgeapp-porch-1/config"),
    ("operator", "edgeapp/porch-1/set"),
    ("operator", "edgeapp/porch-1/porch/set"),
    ("operator", "edgeapp/porch-1/porch/detect/variant/set"),
    ("homeassistant", "homeassistant/status"),
    ("homeassistant", "edgeapp/porch-1/porch/set"),
)
MAY_NOT_WRITE = (
    ("porch-1", "edgeapp/yard-2/status"),
    ("porch-1", "edgeapp/yard-2/porch/set"),
    ("porch-1", "edgeapp/porch-10/status"),
    ("porch-1", "homeassistant/device/edgeapp-yard-2/config"),
    ("porch-1", "homeassistant/status"),
    ("porch-1", "elsewhere"),
    ("monitor", "edgeapp/porch-1/status"),
    ("monitor", "edgeapp/porch-1/porch/set"),
    ("operator", "edgeapp/porch-1/status"),
    ("operator", "edgeapp/porch-1/porch/detect"),
)
MAY_READ = (
    ("porch-1", "edgeapp/porch-1/set"),
    ("porch-1", "edgeapp/porch-1/porch/set"),
    ("porch-1", "edgeapp/porch-1/porch/detect/min_score/set"),
    ("porch-1", "homeassistant/status"),
    ("monitor", "homeassistant/status"),  # as all who come in
    ("monitor", "edgeapp/porch-1/health"),
    ("monitor", "edgeapp/yard-2/porch/detect"),
    ("operator", "edgeapp/yard-2/reply"),
    ("homeassistant", "homeassistant/device/edgeapp-yard-2/config"),
)
MAY_NOT_READ = (
    ("porch-1", "edgeapp/yard-2/health"),
    ("porch-1", "edgeapp/yard-2/porch/set"),
    ("porch-1", "homeassistant/device/edgeapp-yard-2/config"),
    ("monitor", "elsewhere"),
    ("monitor", "homeassistant/device/edgeapp-yard-2/config"),
)


class Broker:
    """The sample configuration, with its paths and port moved, and a user for each role."""

    def __init__(self, folder: Path, repo: Path, find: Find) -> None:
        self.port = free_port()
        self._folder = folder
        self._publish = find("mosquitto_pub", "mosquitto-clients")
        self._subscribe = find("mosquitto_sub", "mosquitto-clients")
        self._program = find("mosquitto", "mosquitto")
        passwords = folder / "edgeapp.passwd"
        passwords.touch(mode=0o600)
        (folder / "edgeapp.acl").write_bytes((repo / "deploy/mosquitto/edgeapp.acl").read_bytes())
        (folder / "edgeapp.acl").chmod(0o600)
        for user in (*USERS, "root-of-test"):
            name = find("mosquitto_passwd", "mosquitto")
            subprocess.run([name, "-b", str(passwords), user, PASSWORD], check=True)
        text = (repo / "deploy/mosquitto/edgeapp.conf").read_text(encoding="utf-8")
        text = text.replace("/etc/mosquitto/", f"{folder}/")
        text = text.replace("/var/lib/mosquitto/", f"{folder}/")
        text = re.sub(
            r"^listener 1883$", f"listener {self.port} 127.0.0.1", text, flags=re.MULTILINE
        )
        (folder / "mosquitto.conf").write_text(f"user root\n{text}")
        with (folder / "edgeapp.acl").open("a") as rules:  # says and hears all, for this test
            rules.write("\nuser root-of-test\ntopic readwrite #\n")

    def run(self) -> "subprocess.Popen[bytes]":
        log = (self._folder / "broker.log").open("wb")
        with log:
            return subprocess.Popen(
                [self._program, "-c", str(self._folder / "mosquitto.conf")], stdout=log, stderr=log
            )

    def _as(self, user: str, password: str = PASSWORD) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port), "-V", "5", "-u", user, "-P", password]

    def publish(self, user: str, topic: str, said: str, password: str = PASSWORD) -> str:
        """Say something; what the client says against it."""
        command = [self._publish, *self._as(user, password), "-q", "1", "-t", topic, "-m", said]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        return ended.stderr

    @contextmanager
    def listening(self, user: str, topic: str) -> Iterator[Heard]:
        """Somebody listens meanwhile; the topics of what they have heard, but what was retained."""
        command = ["stdbuf", "-oL", self._subscribe, *self._as(user), "-q", "1", "-t", topic]
        said = self._folder / "heard.txt"
        with (
            said.open("w") as out,
            subprocess.Popen([*command, "-d", "-F", "=> %t", "-R"], stdout=out) as process,
        ):

            def heard() -> list[str]:
                return re.findall(r"^=> (.*)\n", said.read_text(), re.MULTILINE)

            try:
                wait_until(lambda: "SUBACK" in said.read_text(), f"{user} has subscribed")
                yield heard
            finally:
                process.terminate()


def wait_for(heard: Heard, wanted: Iterable[str]) -> None:
    """Wait until all that is wanted was heard, as often; and then a while for what is not."""
    wait_until(lambda: not Counter(wanted) - Counter(heard()), f"{wanted}")
    time.sleep(0.5)


@pytest.fixture(scope="module")
def broker(
    tmp_path_factory: pytest.TempPathFactory, repo: Path, system_program: Find
) -> Iterator[Broker]:
    found = Broker(tmp_path_factory.mktemp("broker"), repo, system_program)
    process = found.run()
    try:
        wait_until(
            lambda: found.publish("root-of-test", "up", "x") == "", "the sample broker listens"
        )
        yield found
    finally:
        process.terminate()
        process.wait(20)


def said_by(
    broker: Broker, pairs: tuple[tuple[str, str], ...], wanted: Sequence[str] = ()
) -> list[str]:
    """What somebody who may hear all hears of what these users say to these topics."""
    with broker.listening("root-of-test", "#") as heard:
        for user, topic in pairs:
            broker.publish(user, topic, "x")
        wait_for(heard, wanted)
    return heard()


def test_each_may_say_what_is_theirs(broker: Broker) -> None:
    topics = sorted(topic for _, topic in MAY_WRITE)
    assert sorted(said_by(broker, MAY_WRITE, topics)) == topics


def test_nobody_may_say_what_is_not(broker: Broker) -> None:
    """The device is told so: it counts the message as refused, and keeps it aside."""
    assert said_by(broker, MAY_NOT_WRITE) == []
    refused = broker.publish("porch-1", "edgeapp/yard-2/status", "x")
    assert "Not authorized" in refused


@pytest.mark.parametrize("user", USERS)
def test_each_hears_what_is_theirs_alone(broker: Broker, user: str) -> None:
    topics = [topic for who, topic in (*MAY_READ, *MAY_NOT_READ) if who == user] or ["edgeapp/x"]
    may = sorted(topic for who, topic in MAY_READ if who == user)
    with broker.listening(user, "#") as heard:  # whatever it asks for
        for topic in topics:
            broker.publish("root-of-test", topic, "x")
        wait_for(heard, may)
    assert sorted(heard()) == may


def test_nobody_comes_in_without_a_password(broker: Broker) -> None:
    for user, password in (("porch-1", "wrong"), ("nobody", PASSWORD)):
        assert (
            "not authorized"
            in broker.publish(user, "edgeapp/porch-1/status", "x", password).lower()
        )
    command = ["mosquitto_pub", "-p", str(broker.port), "-t", "edgeapp/porch-1/status", "-m", "x"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert "not authori" in ended.stderr.lower()


def test_a_device_does_its_work_under_these_rules(broker: Broker, tmp_path: Path) -> None:
    """Health, a silent source, results and a command, with nothing refused."""
    (tmp_path / "pump.yaml").write_text(
        "name: pump\nstages:\n  bear: {source: bearing}\n"
        "  numbers: {transform: features}\n  tell: {output: mqtt, every_s: 1}\n"
        "  eye: {source: conveyor, rate_hz: 5, silent_s: 20}\n"
    )
    more = "  username: env:WHO\n  password: env:SECRET\n  commands: [enable]\n  home_assistant: {}"
    secrets = {"WHO": "test", "SECRET": PASSWORD}
    below = "edgeapp/test/"
    wanted = ["status", "health", "pump/state", "pump/eye/silent", "pump/tell", "outbox"]
    with (
        broker.listening("monitor", f"{below}#") as heard,
        Running(
            tmp_path, tmp_path / "pump.yaml", port=broker.port, more=more, environment=secrets
        ) as device,
    ):
        wait_until(lambda: "broker reached" in device.log(), "the device is connected")
        wait_for(heard, [below + one for one in wanted])
        broker.publish("operator", f"{below}pump/set", "OFF")
        wait_for(heard, [f"{below}reply"])
        _, summary = device.stop()
        assert "uplink" in summary, device.log()
    uplink = summary["uplink"]
    assert (uplink["refused_messages"], uplink["retries"]) == (0, 0)
