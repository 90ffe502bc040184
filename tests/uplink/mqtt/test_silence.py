"""A broker that is there, but acknowledges nothing, is told of once."""

from edgeapp.uplink.connection import Endpoint
from edgeapp.uplink.mqtt.silence import SilenceWatch
from tests.uplink.parts import ListLog


class Told:
    """A watch with a clock that stands still, and what it has told."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._log = ListLog()
        self.watch = SilenceWatch(Endpoint("broker", keepalive_s=30), self._log, lambda: self.now_s)

    def after(self, seconds: float) -> list[dict[str, object]]:
        """What it tells then."""
        before = len(self._log.events)
        self.now_s += seconds
        self.watch.look()
        return [facts for _, facts in self._log.events[before:]]


def test_a_silence_is_told_of_once_and_the_next_one_again() -> None:
    told = Told()
    told.watch.sent(20)
    assert told.after(29.0) == []
    assert told.after(1.0) == [{"broker": "broker:1883", "unacknowledged": 20, "for_s": 30}]
    assert told.after(1000.0) == []
    told.watch.heard()
    assert told.after(29.0) == []
    assert told.after(2.0) == [{"broker": "broker:1883", "unacknowledged": 19, "for_s": 31}]


def test_who_has_nothing_to_say_waits_for_no_answer() -> None:
    """It counts from the first message that is unanswered, not from the last answer."""
    told = Told()
    assert told.after(1000.0) == []
    told.watch.sent(1)
    told.watch.heard()
    assert told.after(1000.0) == []
    told.watch.sent(1)
    assert told.after(29.0) == []


def test_a_slow_broker_is_not_silent() -> None:
    told = Told()
    for _ in range(100):
        told.watch.sent(1)
        assert told.after(20.0) == []
        told.watch.heard()
        told.watch.sent(1)


def test_without_a_log_nothing_is_told() -> None:
    told = Told()
    watch = SilenceWatch(Endpoint("broker"), None, lambda: told.now_s)
    watch.sent(1)
    told.now_s += 1000.0
    watch.look()
    assert told.after(0.0) == []
