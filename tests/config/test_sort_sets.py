"""Which `--set` is of the device file, and which of a stage."""

from pathlib import Path

import pytest

from edgeapp.config.sort_sets import SortedSets, sort_sets
from edgeapp.errors import ConfigError


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """One with a stage that is called like a section of the device file."""
    file = tmp_path / "a.yaml"
    file.write_text("name: a\nstages: {belt: {source: x}, mqtt: {output: mqtt}}")
    return file


def test_keys_of_the_device_file_are_the_devices_and_all_others_are_stages() -> None:
    sets = ["belt.rate_hz=3", "watchdog.trip_c=70", "device=a", "mqqt.host=b", "nonsense", "device"]

    assert sort_sets(sets, []) == SortedSets(
        ("watchdog.trip_c=70", "device=a"), ("belt.rate_hz=3", "mqqt.host=b", "nonsense", "device")
    )


def test_a_stage_of_that_name_is_meant_where_the_device_has_no_such_key(pipeline: Path) -> None:
    assert sort_sets(["mqtt.topic=a"], [pipeline]) == SortedSets((), ("mqtt.topic=a",))


def test_what_could_be_both_is_refused_with_what_to_write(pipeline: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        sort_sets(["mqtt.host=a", "mqtt.tls.ca=b"], [pipeline])
    first, second = caught.value.complaints
    assert first.problem.startswith(f"'mqtt' is a stage of {pipeline}, and a section of the device")
    assert "--set stages.mqtt.host=... for the stage" in first.remedy
    assert "EDGEAPP_MQTT__TLS__CA" in second.remedy


def test_stages_says_that_a_stage_is_meant(pipeline: Path) -> None:
    assert sort_sets(["stages.mqtt.host=a"], [pipeline]).stages == ("stages.mqtt.host=a",)


def test_a_pipeline_that_cannot_be_read_hides_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "b.yaml"
    broken.write_text("{")

    assert sort_sets(["mqtt.host=a"], [broken, tmp_path / "none.yaml"]).device == ("mqtt.host=a",)
