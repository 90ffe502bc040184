"""Which version of MQTT is tried, after what the broker did."""

import random

from edgeapp.core.clock import FakeClock
from edgeapp.uplink.mqtt.versions import AGAIN_S, ENOUGH, MANY, Version, Versions


def test_five_is_tried_first_and_kept_where_it_works() -> None:
    versions = Versions(FakeClock())
    versions.worked("5")
    assert versions.first() == "5"


def test_a_broker_that_says_it_knows_no_5_is_believed_at_once() -> None:
    versions = Versions(FakeClock())
    versions.worked("5")  # and has been replaced by an older one since
    assert versions.instead("5", said_so=True) == "3.1.1"
    versions.worked("3.1.1")
    assert versions.first() == "3.1.1"


def test_one_that_never_spoke_5_is_spoken_to_in_3_1_1_at_once_but_asked_again_before_it_counts() -> (
    None
):
    versions = Versions(FakeClock())
    for _ in range(ENOUGH):
        assert versions.first() == "5"
        assert versions.instead("5", said_so=False) == "3.1.1"
        versions.worked("3.1.1")
    assert versions.first() == "3.1.1"


def test_one_that_spoke_5_is_not_doubted_for_a_hang_up() -> None:
    """It is being restarted, or the network cut it off: as good as ever afterwards."""
    versions = Versions(FakeClock())
    for _ in range(5):
        versions.worked("5")
        for _ in range(MANY - 1):
            assert versions.instead("5", said_so=False) is None
        assert versions.first() == "5"
    for _ in range(ENOUGH):  # it is another broker now
        assert versions.first() == "5"
        assert versions.instead("5", said_so=False) == "3.1.1"
        versions.worked("3.1.1")
    assert versions.first() == "3.1.1"


def test_a_network_that_cuts_at_random_does_not_end_in_3_1_1() -> None:
    """Three of ten attempts are cut off, whichever the version."""
    chance = random.Random(4)
    remembered = 0
    for _ in range(1_000):
        versions = Versions(FakeClock())
        versions.worked("5")
        for _ in range(50):
            version: Version | None = versions.first()
            while version and chance.random() < 0.3:
                version = versions.instead(version, said_so=False) if version == "5" else None
            if version:
                versions.worked(version)
        remembered += versions.first() == "3.1.1"
    assert remembered == 0


def test_five_is_tried_again_after_a_day_and_when_3_1_1_is_not_understood() -> None:
    clock = FakeClock(start_ns=5)
    versions = Versions(clock)
    versions.instead("5", said_so=True)
    versions.worked("3.1.1")
    clock.advance(AGAIN_S - 1)
    assert versions.first() == "3.1.1"
    versions.worked("3.1.1")  # which puts nothing off
    assert versions.instead("3.1.1", said_so=False) == "5"
    clock.advance(2)
    assert versions.first() == "5"
    versions.instead("5", said_so=True)
    versions.worked("3.1.1")
    assert versions.first() == "3.1.1"
    versions.worked("5")
    assert versions.first() == "5"
