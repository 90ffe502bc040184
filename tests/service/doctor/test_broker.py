"""The broker as the doctor sees it: a real one, with TLS and passwords, and none."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeapp.core.secret import Secret
from edgeapp.service.doctor import broker
from edgeapp.service.doctor.case import Case
from edgeapp.uplink.connection import Endpoint, Tls
from tests.servers.certificates import Authority
from tests.servers.mosquitto import Mosquitto, free_port
from tests.service.doctor.ward import Ward, found, verdicts

pytestmark = pytest.mark.slow
DAY_S = 86_400


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path / "machine")


class World:
    """A broker that wants a password, over TLS."""

    def __init__(self, folder: Path, openssl: str, mosquitto: str, passwd: str) -> None:
        self.authority = Authority(openssl, folder / "authority")
        self.served = self.authority.issue("broker")
        self.own = self.authority.issue("device")
        passwords = folder / "passwords"
        command = [passwd, "-c", "-b", str(passwords), "line-3", "let me in"]
        subprocess.run(command, check=True, capture_output=True)
        passwords.chmod(0o644)
        self.broker = Mosquitto(
            mosquitto,
            folder / "broker",
            "allow_anonymous false",
            f"password_file {passwords}",
            f"cafile {self.authority.cert}",
            f"certfile {self.served.cert}",
            f"keyfile {self.served.key}",
        )

    def endpoint(self, password: str = "env:DOCTOR_PASSWORD") -> Endpoint:
        tls = Tls(self.authority.cert, self.own.cert, self.own.key)
        user = Secret("env:DOCTOR_USER")
        return Endpoint("127.0.0.1", self.broker.port, user, Secret(password), tls)


@pytest.fixture(scope="module")
def world(
    system_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    (folder / "broker").mkdir()
    programs = (
        system_program("openssl", "openssl"),
        system_program("mosquitto", "mosquitto"),
        system_program("mosquitto_passwd", "mosquitto"),
    )
    with ExitStack() as stack:
        made = World(folder, *programs)
        stack.enter_context(made.broker)
        yield made


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTOR_USER", "line-3")
    monkeypatch.setenv("DOCTOR_PASSWORD", "let me in")
    monkeypatch.setenv("DOCTOR_WRONG", "let me out")


def case(ward: Ward, endpoint: Endpoint, *, days: float = 0, **facts: Any) -> Case:

    made = ward.case(endpoint=endpoint, **facts)
    now_s = time.time() + days * DAY_S
    return replace(made, machine=replace(made.machine, wall_s=lambda: now_s))


def test_a_broker_that_lets_us_in(ward: Ward, world: World) -> None:
    findings = {one.check: one for one in found(broker.broker, case(ward, world.endpoint()))}
    assert findings["broker"].verdict == "ok"
    assert "lets this device in (MQTT 5)" in findings["broker"].said
    assert set(findings) == {"own certificate", "broker's certificate", "broker"}


def test_certificates_that_expire_soon_and_that_have(ward: Ward, world: World) -> None:
    soon = dict(verdicts(broker.broker, case(ward, world.endpoint(), days=-0.001)))
    assert soon["own certificate"] == "warning", "the authority of the tests signs for a day"
    late = dict(verdicts(broker.broker, case(ward, world.endpoint(), days=400)))
    assert late["own certificate"] == "failed"
    assert late["broker's certificate"] == "failed"


def test_a_wrong_password_is_what_is_wrong(ward: Ward, world: World) -> None:
    *_, finding = found(broker.broker, case(ward, world.endpoint("env:DOCTOR_WRONG")))
    assert finding.verdict == "failed"
    assert "let me out" not in finding.said + finding.fix


def test_without_the_secret_the_way_to_the_broker_is_looked_at_all_the_same(
    ward: Ward, world: World
) -> None:
    """A person may not read it: only the service is given it."""
    *_, finding = found(broker.broker, case(ward, world.endpoint("cred:mqtt_password")))
    assert finding.verdict == "unseen"
    assert "is there" in finding.said
    assert finding.fix == "sudo edgeapp doctor"


def test_nobody_listens(ward: Ward) -> None:
    [finding] = found(broker.broker, case(ward, Endpoint("127.0.0.1", free_port())))
    assert finding.verdict == "failed"
    assert "no broker listens on that port" in finding.said


def test_the_word_of_the_running_service_is_taken(ward: Ward) -> None:
    live = {"uplink": {"connected": True, "protocol": "5", "problem": ""}}
    made = case(ward, Endpoint("127.0.0.1", free_port()), live=live)
    assert verdicts(broker.broker, made) == [("broker", "ok")]


def test_no_broker_is_named(ward: Ward) -> None:
    assert verdicts(broker.broker, ward.case()) == [("broker", "unseen")]
    assert os.environ["DOCTOR_USER"] == "line-3"
