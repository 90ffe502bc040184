"""Topics that stages follow."""

import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Arrived
from edgeapp.uplink.connection import OnMessage, Received
from edgeapp.uplink.watched import WatchedTopics


class Broker:
    """Takes subscriptions, and delivers."""

    def __init__(self) -> None:
        self.handlers: list[tuple[str, OnMessage]] = []

    def subscribe(self, topic_filter: str, handler: OnMessage) -> None:
        self.handlers.append((topic_filter, handler))

    def publish(self, topic: str, payload: bytes) -> None:
        for wanted, handler in self.handlers:
            if wanted == topic:
                handler(Received(topic, payload, retain=False))


def test_the_newest_message_and_when_it_came() -> None:
    clock, broker = FakeClock(), Broker()
    watched = WatchedTopics(broker.subscribe, clock).watch("plant/rpm")
    assert watched.latest() is None
    clock.set_ns(5)
    broker.publish("plant/rpm", b"1480")
    clock.set_ns(9)
    broker.publish("plant/other", b"1")
    assert watched.latest() == Arrived(b"1480", 5)
    broker.publish("plant/rpm", b"1490")
    assert watched.latest() == Arrived(b"1490", 9)


def test_whoever_follows_a_topic_again_gets_what_came_before() -> None:
    """A stage that is rebuilt: nothing piles up, and nothing has to be waited for."""
    broker = Broker()
    topics = WatchedTopics(broker.subscribe, FakeClock())
    first = topics.watch("plant/rpm")
    broker.publish("plant/rpm", b"1480")
    for _ in range(100):
        assert topics.watch("plant/rpm") is first
    assert len(broker.handlers) == 1


@pytest.mark.parametrize("topic", ["", "plant/+/rpm", "#", "a\x00b", "x" * 2000])
def test_what_is_not_one_topic_is_refused(topic: str) -> None:
    broker = Broker()
    with pytest.raises(ValueError, match="is no topic in full"):
        WatchedTopics(broker.subscribe, FakeClock()).watch(topic)
    assert not broker.handlers
