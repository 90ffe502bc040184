import threading

import pytest

from edgeapp.core.clock import FakeClock, ns
from edgeapp.errors import Stopping
from edgeapp.testing import context


def test_fake_clock_never_goes_back() -> None:
    clock = FakeClock()
    clock.advance(2)
    clock.set_ns(ns(1))
    assert clock.now_ns() == ns(2)


def test_waiting_on_a_fake_clock_takes_no_time_but_moves_it() -> None:
    clock = FakeClock()
    assert clock.wait(threading.Event(), 3600) is False
    assert clock.now_ns() == ns(3600)


def test_sleeping_through_a_shutdown_raises_stopping() -> None:
    """A plugin's `except Exception` cannot swallow it: it is a BaseException."""
    surroundings = context()
    surroundings.sleep(1)
    surroundings.stopping.set()
    with pytest.raises(Stopping):
        surroundings.sleep(1)
    assert not issubclass(Stopping, Exception)
