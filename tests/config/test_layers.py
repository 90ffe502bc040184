"""The device configuration out of its file, conf.d, the environment and --set."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeapp.config.device import DeviceConfig, read_device
from edgeapp.config.places import Places
from edgeapp.core.secret import Secret
from edgeapp.document.render import render_all
from edgeapp.errors import Complaint, ConfigError

NONE: Mapping[str, str] = {}


@pytest.fixture
def etc(tmp_path: Path) -> Places:
    """An installation without any file yet."""
    (tmp_path / "etc" / "conf.d").mkdir(parents=True)
    return Places(tmp_path / "etc", tmp_path / "data", tmp_path / "run")


def write(etc: Places, **files: str) -> None:
    """Files of conf.d by their names; `device` is the device file."""
    for name, text in files.items():
        file = etc.device_file if name == "device" else etc.config / "conf.d" / f"{name}.yaml"
        file.write_text(text)


def complaints(
    of: Places | Path | None, environment: Mapping[str, str] = NONE, sets: tuple[str, ...] = ()
) -> tuple[Complaint, ...]:
    with pytest.raises(ConfigError) as caught:
        read_device(of, environment=environment, sets=sets)
    return caught.value.complaints


def places_of(found: tuple[Complaint, ...]) -> list[tuple[str, int, int]]:
    return [(Path(c.place.file).name, c.place.line, c.place.column) for c in found if c.place]


def host(config: DeviceConfig) -> str:
    assert config.mqtt
    return config.mqtt.host


# -- which layer wins -----------------------------------------------------------------------


def test_each_layer_is_over_the_one_before(etc: Places) -> None:
    variable = {"EDGEAPP_MQTT__HOST": "d"}
    write(etc, device="mqtt: {host: a, keepalive_s: 20}")
    assert host(read_device(etc, environment=NONE)) == "a"
    write(etc, b="mqtt: {host: b}")
    assert host(read_device(etc, environment=NONE)) == "b"
    write(etc, c="mqtt: {host: c}")
    assert host(read_device(etc, environment=NONE)) == "c"
    assert host(read_device(etc, environment=variable)) == "d"
    config = read_device(etc, environment=variable, sets=["mqtt.host=e"])
    assert host(config) == "e"
    assert config.mqtt
    assert config.mqtt.keepalive_s == 20


def test_an_installation_needs_no_file_at_all(tmp_path: Path) -> None:
    places = Places(tmp_path / "none", tmp_path / "data", tmp_path / "run")

    config = read_device(places, environment=NONE)

    assert (config.data_dir, config.run_dir, config.mqtt) == (places.data, places.run, None)


def test_a_file_of_which_all_is_commented_out_says_nothing(etc: Places) -> None:
    write(etc, device="# device: a\n", empty="")

    assert read_device(etc, environment=NONE).mqtt is None


def test_the_device_file_named_by_its_path_is_the_installation(etc: Places) -> None:
    environment = {"CONFIGURATION_DIRECTORY": str(etc.config), "STATE_DIRECTORY": str(etc.data)}
    write(etc, device="mqtt: {host: a}", more="mqtt: {host: b}")

    config = read_device(etc.device_file, environment=environment)

    assert (host(config), config.data_dir) == ("b", etc.data)


def test_any_device_file_has_the_conf_d_beside_it(etc: Places) -> None:
    write(etc, more="mqtt: {host: b}")
    mine = etc.config / "mine.yaml"
    mine.write_text("device: mine")

    config = read_device(mine, environment={"XDG_STATE_HOME": "/var/tmp/state"})

    assert (config.device, host(config)) == ("mine", "b")
    assert config.data_dir == Path("/var/tmp/state/edgeapp")


def test_relative_paths_of_every_layer_start_in_the_folder_of_the_device_file(
    etc: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (etc.config / name).touch()
    write(etc, device="mqtt: {host: a, tls: {ca: ca.pem}}", more="mqtt: {tls: {cert: cert.pem}}")

    config = read_device(
        etc, environment={"EDGEAPP_MQTT__TLS__KEY": "key.pem"}, sets=["data_dir=d"]
    )

    assert config.mqtt
    assert config.mqtt.tls
    assert config.mqtt.tls.ca == etc.config / "ca.pem"
    assert config.mqtt.tls.cert == etc.config / "cert.pem"
    assert config.mqtt.tls.key == etc.config / "key.pem"
    assert config.data_dir == etc.config / "d"


def test_lists_replace_and_null_goes_back_to_the_default(etc: Places) -> None:
    write(
        etc,
        device="allow_commands: [a, b]\nmqtt: {host: x, keepalive_s: 20, tls: {}}",
        more="allow_commands: [c]\nmqtt: {keepalive_s: null, tls: null}\noutbox:",
    )

    config = read_device(etc, environment={"EDGEAPP_WATCHDOG__TRIP_C": ""})

    assert config.allow_commands == ("c",)
    assert config.mqtt
    assert (config.mqtt.keepalive_s, config.mqtt.tls) == (30, None)


def test_null_can_take_a_whole_section_away(etc: Places) -> None:
    write(etc, device="mqtt: {host: x}")

    assert read_device(etc, environment={"EDGEAPP_MQTT": "null"}).mqtt is None


# -- the environment ------------------------------------------------------------------------


def test_variables_are_read_as_yaml() -> None:
    environment = {
        "EDGEAPP_DEVICE": "line-3",
        "EDGEAPP_MQTT": "{host: a, commands: [pin]}",
        "EDGEAPP_MQTT__HOST": "10.0.0.7",
        "EDGEAPP_MQTT__USERNAME": "cred:user",
        "EDGEAPP_MQTT__PASSWORD": "env:PASSWORD",
        "EDGEAPP_OUTBOX__BULK_MB": "2.5",
        "EDGEAPP_WATCHDOG__ENABLED": "false",
        "EDGEAPP_ALLOW_COMMANDS": "[espeak-ng]",
        "EDGEAPP_DATA_DIR": "/data",
    }

    config = read_device(environment=environment)

    assert (config.device, config.data_dir) == ("line-3", Path("/data"))
    assert config.mqtt
    assert (config.mqtt.host, list(config.mqtt.commands)) == ("10.0.0.7", ["pin"])
    assert config.mqtt.password == Secret("env:PASSWORD")
    assert config.outbox.bulk_bytes == 2.5 * 1024 * 1024
    assert not config.watchdog.enabled
    assert config.allow_commands == ("espeak-ng",)


def test_variables_that_have_a_meaning_of_their_own_are_no_settings() -> None:
    environment = {
        "EDGEAPP_LOG": "json",
        "EDGEAPP_START_ID": "x-1",
        "EDGEAPP_START_MODE": "safe",
        "EDGEAPP_DATA": "/x",
        "HOME": "/h",
    }

    assert read_device(environment=environment) == read_device(environment={"HOME": "/h"})


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("EDGEAPP_MQTT__", "a", "this does not name a setting"),
        ("EDGEAPP_" + "__".join("ABCDEFGHI"), "a", "this does not name a setting"),
        ("EDGEAPP_OUTBOX__BLUK_MB", "1", "outbox of the device file has no option 'bluk_mb'"),
        ("EDGEAPP__DEVICE", "a", "the device file has no option '_device'"),
        ("EDGEAPP_WATCHDOG__TRIP_C", "hot", "watchdog.trip_c must be a number from 40 to 125"),
        ("EDGEAPP_DEVICE", "12", "device must be text, not 12"),
        ("EDGEAPP_DEVICE", "# a", "what begins with '#' is a comment"),
        ("EDGEAPP_DEVICE", "{a", "a ',' or the closing '}' is missing"),
        ("EDGEAPP_ALLOW_COMMANDS", "a", "allow_commands must be a list, each text, not 'a'"),
        ("EDGEAPP_DEVICE", "\udcff", "from here on"),
    ],
)
def test_mistakes_in_variables_name_them(name: str, value: str, problem: str) -> None:
    [complaint] = complaints(None, {name: value})

    assert complaint.problem.startswith(problem)
    assert complaint.place
    assert complaint.place.file == f"environment variable {name}"


def test_too_many_variables_are_refused() -> None:
    [complaint] = complaints(None, {f"EDGEAPP_MQTT__X{n}": "" for n in range(201)})[:1]

    assert complaint.remedy == "at most 200 are read"


@pytest.mark.parametrize("secret", ["hunter2", "*hunter2", "&hunter2 x", "{hunter2", "'hunter2", "#hunter2"])  # fmt: skip
@pytest.mark.parametrize("where", ["variable", "set"])
def test_a_password_instead_of_a_reference_is_never_repeated(secret: str, where: str) -> None:
    environment = {"EDGEAPP_MQTT__HOST": "a", "EDGEAPP_MQTT__USERNAME": "env:U"}
    sets: tuple[str, ...] = ()
    if where == "variable":
        environment["EDGEAPP_MQTT__PASSWORD"] = secret
    else:
        sets = (f"mqtt.password={secret}",)

    found = complaints(None, environment, sets)

    assert "given by reference" in found[0].problem
    assert "hunter2" not in render_all(found)


# -- mistakes in files ----------------------------------------------------------------------


def test_every_mistake_of_every_layer_is_found_at_its_own_place(etc: Places) -> None:
    write(
        etc,
        device="device: My Device\nmqtt:\n  host: a\n  prot: 1\n",
        a="watchdog:\n  trip_c: hot\n",
        b="# a comment\nmqtt: {keepalive_s: 1}\n",
        c="{",
    )

    found = complaints(etc, {"EDGEAPP_OUTBOX__BULK_MB": "much"}, ("mqtt.port=x",))

    assert places_of(found) == [
        ("edgeapp.yaml", 1, 9),
        ("edgeapp.yaml", 4, 3),
        ("a.yaml", 2, 11),
        ("b.yaml", 2, 21),
        ("c.yaml", 1, 2),
        ("--set mqtt.port=x", 0, 0),
        ("environment variable EDGEAPP_OUTBOX__BULK_MB", 0, 0),
    ]
    shown = render_all(found)
    assert " 2 |   trip_c: hot\n   |           ^^^" in shown
    assert "did you mean 'port'?" in shown


def test_what_a_later_layer_replaces_is_not_looked_at(etc: Places) -> None:
    write(etc, device="mqtt: {host: a, port: x}", more="mqtt: {port: 1884}")

    config = read_device(etc, environment=NONE)

    assert config.mqtt
    assert config.mqtt.port == 1884


def test_half_of_a_certificate_is_complained_of_where_it_stands(etc: Places) -> None:
    (etc.config / "cert.pem").touch()
    write(etc, device="mqtt: {host: a}", more="mqtt:\n  tls:\n    cert: cert.pem\n")

    assert places_of(complaints(etc)) == [("more.yaml", 3, 5)]


def test_tls_left_empty_is_not_no_tls(etc: Places) -> None:
    """Somebody wanted it: to go on in plain text takes more than an empty key."""
    write(etc, device="mqtt: {host: a}", more="mqtt:\n  tls:\n")

    [complaint] = complaints(etc)
    assert complaint.problem == "mqtt.tls is empty"
    assert places_of((complaint,)) == [("more.yaml", 2, 3)]


def test_a_misspelled_key_left_empty_is_still_a_mistake(etc: Places) -> None:
    write(etc, more="mqtt: {host: a, pasword: }")

    [complaint] = complaints(etc)
    assert "did you mean 'password'?" in complaint.remedy


def _folder(file: Path) -> None:
    file.mkdir()


def _dangling(file: Path) -> None:
    file.symlink_to("gone.yaml")


def _locked(file: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    file.touch(mode=0)


def _twin(file: Path) -> None:
    file.touch()
    file.with_suffix(".yml").touch()


def _list(file: Path) -> None:
    file.write_text("- a")


def _large(file: Path) -> None:
    file.write_text("#" * (256 * 1024 + 1))


def _pipe(file: Path) -> None:
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_folder, "this is a folder, not a file"),
        (_dangling, "this is a link to 'gone.yaml', which is not there"),
        (_locked, "it cannot be read: Permission denied"),
        (_twin, "this stands beside 'x.yaml': both would be read"),
        (_list, "a device file has keys such as device and mqtt, but this is a list"),
        (_large, "it is larger than 256 KiB, too large for a config"),
        (_pipe, "this is a pipe, not a file"),
    ],
)
def test_what_is_in_conf_d_and_cannot_be_read_is_said(
    etc: Places, make: Callable[[Path], None], problem: str
) -> None:
    make(etc.config / "conf.d" / "x.yaml")

    [complaint] = complaints(etc)
    assert complaint.problem == problem
    assert complaint.place
    assert Path(complaint.place.file).stem == "x"


def test_what_editors_and_package_managers_leave_is_not_read(etc: Places) -> None:
    for name in (".a.yaml", "a.yaml~", ".a.yaml.swp", "a.yaml.dpkg-old", "a.yaml.bak", "README"):
        (etc.config / "conf.d" / name).write_text("{")

    assert read_device(etc, environment=NONE).mqtt is None


def test_a_dangling_device_file_is_not_taken_for_none(etc: Places) -> None:
    etc.device_file.symlink_to("gone.yaml")

    [complaint] = complaints(etc)
    assert complaint.problem == "this is a link to 'gone.yaml', which is not there"


def test_a_file_in_the_place_of_conf_d(etc: Places) -> None:
    (etc.config / "conf.d").rmdir()
    (etc.config / "conf.d").touch()

    [complaint] = complaints(etc)
    assert complaint.problem == "this is a file, not a folder"


def test_there_are_at_most_a_hundred_files(etc: Places) -> None:
    for number in range(101):
        (etc.config / "conf.d" / f"{number}.yaml").touch()

    [complaint] = complaints(etc)
    assert complaint.problem == "it holds 101 files; at most 100 are read"


# -- whatever comes from outside ------------------------------------------------------------

PARTS = st.sampled_from(["MQTT", "HOST", "TLS", "DEVICE", "WATCHDOG", "BATTERY", "", "_", "X", "é"])
NAMES = st.lists(PARTS, min_size=1, max_size=10).map(lambda parts: "EDGEAPP_" + "__".join(parts))
ODD = ["mqtt", "host", ":", " ", "\n", "{", "}", "[", "]", "~", "null", "'", '"', "#", "-", "*a"]
ODD.extend(("&a", "!x", "1e999", "0x10", "\t", "\x00", "\udc80", "watchdog", "tls", "cred:x", "é"))
SNIPPETS = st.lists(st.sampled_from(ODD), max_size=8).map("".join)


def named(
    of: Places | None, environment: Mapping[str, str] = NONE, sets: Sequence[str] = ()
) -> set[str]:
    """What complaints name, if it is refused; each of them can be shown."""
    try:
        read_device(of, environment=environment, sets=sets)
    except ConfigError as error:
        render_all(error.complaints)
        return {complaint.place.file for complaint in error.complaints if complaint.place}
    return set()


@settings(max_examples=40)
@given(st.dictionaries(NAMES, SNIPPETS | st.text(max_size=8), max_size=4))
def test_whatever_is_in_the_environment_is_read_or_refused(environment: dict[str, str]) -> None:
    said = {"HOME": "/h", **environment}
    assert all(name.startswith("environment variable EDGEAPP_") for name in named(None, said))


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(SNIPPETS | st.text(max_size=20), min_size=1, max_size=3))
def test_whatever_is_in_conf_d_is_read_or_refused(etc: Places, texts: list[str]) -> None:
    files = [etc.config / "conf.d" / f"{number}.yaml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert named(etc) <= set(map(str, files))
    for file in files:
        file.unlink()


@settings(max_examples=40)
@given(st.lists(st.tuples(SNIPPETS, SNIPPETS).map("=".join), max_size=3))
def test_whatever_is_set_is_read_or_refused(sets: list[str]) -> None:
    assert all(name.startswith("--set ") for name in named(None, {"HOME": "/h"}, sets))
