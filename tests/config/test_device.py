from pathlib import Path

import pytest

from edgeapp.config.device import DeviceConfig, read_device
from edgeapp.config.names import problem_with
from edgeapp.core.secret import Secret
from edgeapp.document.render import render_all
from edgeapp.errors import ConfigError


@pytest.fixture
def write(tmp_path: Path) -> Path:
    """A device file to write."""
    return tmp_path / "device.yaml"


def problems(file: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_device(file)
    return [c.problem for c in caught.value.complaints]


def test_without_a_device_file_everything_has_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    device = read_device(environment={"XDG_STATE_HOME": "/var/tmp/state"})

    assert problem_with(device.device) is None
    assert device.data_dir == Path("/var/tmp/state/edgeapp")
    assert device.plugins is None
    assert device.mqtt is None


def test_drop_in_plugins_of_the_current_folder_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugins").mkdir()
    monkeypatch.chdir(tmp_path)

    assert read_device().plugins == tmp_path / "plugins"


def test_under_systemd_the_data_lies_in_its_state_directory() -> None:
    environment = {"STATE_DIRECTORY": "/var/lib/edgeapp:/var/lib/more", "XDG_STATE_HOME": "/x"}

    assert read_device(environment=environment).data_dir == Path("/var/lib/edgeapp")


def test_without_any_variable_the_data_lies_in_the_home() -> None:
    expected = Path.home() / ".local/state/edgeapp"

    assert read_device(environment={}).data_dir == expected


def test_a_whole_device_file(write: Path) -> None:
    folder = write.parent
    (folder / "mine").mkdir()
    (folder / "ca.pem").touch()
    write.write_text(
        "device: pump-house\ndata_dir: data\nplugins: mine\n"
        "mqtt: {host: broker.local, username: env:USER_NAME, password: cred:mqtt,\n"
        "  tls: {ca: ca.pem}, keepalive_s: 20, prefix: plant/north}\n"
    )

    device = read_device(write)

    assert (device.device, device.data_dir) == ("pump-house", folder / "data")
    assert device.plugins == folder / "mine"
    mqtt = device.mqtt
    assert mqtt
    assert (mqtt.host, mqtt.port, mqtt.keepalive_s) == ("broker.local", 8883, 20)
    assert (mqtt.username, mqtt.password) == (Secret("env:USER_NAME"), Secret("cred:mqtt"))
    assert mqtt.prefix == "plant/north"
    assert mqtt.tls
    assert mqtt.tls.ca == folder / "ca.pem"


def test_without_tls_the_port_is_that_of_plain_mqtt(write: Path) -> None:
    write.write_text("mqtt: {host: broker}")

    mqtt = read_device(write).mqtt
    assert mqtt
    assert (mqtt.port, mqtt.tls, mqtt.prefix) == (1883, None, "edgeapp")


def test_empty_tls_trusts_the_system(write: Path) -> None:
    write.write_text("mqtt: {host: broker, tls: {}}")

    mqtt = read_device(write).mqtt
    assert mqtt
    assert mqtt.port == 8883
    assert mqtt.tls
    assert mqtt.tls.ca is None


def test_plugins_beside_the_device_file_are_found(write: Path) -> None:
    write.write_text("device: a")
    (write.parent / "plugins").mkdir()

    assert read_device(write).plugins == write.parent / "plugins"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "a device file has keys such as device and mqtt, but this is an empty list"),
        ("divice: a", "the device file has no option 'divice'"),
        (
            "device: My Device",
            "'My Device' cannot be a name: names are lower-case letters, digits, '-' and '_', beginning with a letter or digit",
        ),
        (
            "data_dir: ~nobody-of-this-name/x",
            "data_dir: '~nobody-of-this-name/x' is in a home that nobody has",
        ),
        ("mqtt: {}", "mqtt of the device file needs the option 'host'"),
        ("mqtt: {host: ''}", "mqtt.host must be text that is not empty, not ''"),
        (
            "mqtt: {host: a, port: 70000}",
            "mqtt.port must be a whole number from 1 to 65535, not 70000",
        ),
        (
            "mqtt: {host: a, prefix: 'a/#'}",
            "mqtt.prefix: a topic to publish to has no '+', '#' or spaces",
        ),
        (
            "mqtt: {host: a, prefix: /a}",
            "mqtt.prefix: a topic has no empty level: write it as in 'plant/hall-2'",
        ),
        (
            "mqtt: {host: a, prefix: $SYS}",
            "mqtt.prefix: what begins with '$' is the broker's own: choose another topic",
        ),
        (
            "mqtt: {host: 'a b'}",
            "mqtt.host: this cannot be the name or address of a host, such as 'broker.example'",
        ),
        (
            "mqtt: {host: 'broker:1884'}",
            "mqtt.host: the port is an option of its own: write host: broker and port: 1884",
        ),
        ("mqtt:\n  host: a\n  tls:", "mqtt.tls is empty"),
        ("mqtt: {host: a, home_assistant: }", "mqtt.home_assistant is empty"),
        ("mqtt: {host: a, password: 'env:X'}", "mqtt has a password but no username"),
        ("mqtt: {host: a, tls: {cert: device.yaml}}", "tls has 'cert' but no 'key'"),
    ],
)
def test_mistakes(write: Path, text: str, problem: str) -> None:
    write.write_text(text)

    assert problems(write) == [problem]


def test_a_missing_certificate_is_named(write: Path) -> None:
    write.write_text("mqtt: {host: a, tls: {ca: none.pem}}")

    [problem] = problems(write)
    assert problem == f"mqtt.tls.ca: there is no file '{write.parent / 'none.pem'}'"


@pytest.mark.parametrize("option", ["ca", "cert", "key"])
def test_a_folder_is_no_certificate(write: Path, option: str) -> None:
    """Said where it stands: else it would be found at the first connection."""
    (write.parent / "certs").mkdir()
    write.write_text(f"mqtt:\n  host: a\n  tls:\n    {option}: certs")

    with pytest.raises(ConfigError) as refused:
        read_device(write, environment={})
    [complaint] = refused.value.complaints
    folder = write.parent / "certs"
    assert complaint.problem == f"mqtt.tls.{option}: '{folder}' is a folder: give a file in PEM"
    assert complaint.place
    assert complaint.place.line == 4


@pytest.mark.parametrize(
    "login", ["username: env:U, password: hunter2", "username: hunter2, password: env:P"]
)
def test_a_login_in_the_file_is_refused_without_repeating_it(write: Path, login: str) -> None:
    """Nor does the line that is shown."""
    write.write_text(f"mqtt: {{host: a, {login}}}")

    with pytest.raises(ConfigError) as refused:
        read_device(write, environment={})
    said = render_all(refused.value.complaints)
    assert "a secret is given by reference" in said
    assert "***" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("host", ["::1", "fe80::1%eth0", "192.0.2.7", "broker_2.example."])
def test_names_and_addresses_of_hosts(write: Path, host: str) -> None:
    write.write_text(f"mqtt: {{host: '{host}'}}")

    mqtt = read_device(write, environment={}).mqtt
    assert mqtt
    assert mqtt.host == host


@pytest.mark.parametrize("host", ["mqtt://me:hunter2@broker", "me:hunter2@broker"])
def test_an_address_with_a_login_is_refused_without_repeating_it(write: Path, host: str) -> None:
    """Else it would be in each line of the log that says which broker is not there."""
    write.write_text(f"mqtt: {{host: '{host}'}}")

    with pytest.raises(ConfigError) as refused:
        read_device(write, environment={})
    said = render_all(refused.value.complaints)
    assert "username, password" in said
    assert "hunter2" not in said


def test_secrets_do_not_print() -> None:
    from edgeapp.config.device import MqttConfig

    mqtt = MqttConfig("h", 1, Secret("env:WHO"), Secret("env:WHAT"), None, 30, "edgeapp")
    device = DeviceConfig("d", Path("/d"), None, mqtt)

    assert "WHAT" not in repr(device)
