import pytest

from edgeapp.uplink.connection import Received
from edgeapp.uplink.subscriptions import Subscriptions, matches
from tests.uplink.parts import ListLog


@pytest.mark.parametrize(
    ("topic_filter", "topic", "does"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+/set", "a/b/set", True),
        ("+/b", "/b", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("#", "$SYS/broker", False),
        ("+/broker", "$SYS/broker", False),
        ("$SYS/#", "$SYS/broker", True),
        ("a/b", "A/b", False),
    ],
)
def test_filters_match_as_mqtt_says(topic_filter: str, topic: str, does: bool) -> None:
    assert matches(topic_filter, topic) is does


def test_a_handler_that_raises_is_logged_and_the_others_hear_it_too() -> None:
    log, heard = ListLog(), list[Received]()
    subscriptions = Subscriptions(log)

    def bad(_: Received) -> None:
        raise ValueError("a bug")

    subscriptions.add("a/+", bad)
    subscriptions.add("a/+", heard.append)
    subscriptions.add("c", heard.append)
    message = Received("a/b", b"on", retain=False)
    subscriptions.dispatch(message)
    assert heard == [message]
    assert [event for event, _ in log.events] == ["message of the broker could not be handled"]
    assert subscriptions.filters() == ("a/+", "c")
