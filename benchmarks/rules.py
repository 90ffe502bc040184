"""What a rule costs a packet: CPU time of one answer, beside the same question in plain Python.

The lowest of many short rounds, which is what the machine takes when nobody disturbs it; the
yardstick is a function written by hand that reads the same values and calls nothing.
"""

import sys
import time
import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.compare import Row
from edgeapp.api import DetectionRule, Detections, Event, Features, Matcher, Packet, Rule, Score
from edgeapp.core.clock import NS
from edgeapp.rules.fields import detection_rows
from edgeapp.testing import packets
from edgeapp.testing.stage import LogBook

BOUND_US = 2.0
CALLS, ROUNDS = 5_000, 40


def us(question: Callable[[Any], object], about: object) -> float:
    """Microseconds for one answer."""
    times = timeit.repeat(
        lambda: question(about), number=CALLS, repeat=ROUNDS, timer=time.process_time
    )
    return min(times) / CALLS * 1e6


FOUND = Detections(
    np.array([[0.1, 0.2, 0.5, 0.8]], np.float32),
    np.array([0.75], np.float32),
    np.array([0], np.int32),
    ("person", "dog"),
)
EVENT = Event("new", "zones-00", "zone", "person", 0, 0.9, facts={"zone": "door"})
FEATURES = Features(np.array([0.5, 2.0]), ("x.rms", "x.peak"), ("m/s²", "m/s²"))


def by_hand_detection(row: Any) -> bool:
    """The first rule."""
    return bool(
        row[0] == "person" and row[1] > 0.6 and (row[4] - row[2]) * (row[5] - row[3]) > 0.01
    )


def by_hand_score(packet: Packet[Score]) -> bool:
    """The second rule."""
    return packet.value.ready and packet.value.value > 1.2


def by_hand_event(packet: Packet[Event]) -> bool:
    """The third rule."""
    event = packet.value
    return (
        event.phase == "new"
        and event.facts.get("zone") == "door"
        and (packet.t_ns - event.began_ns) / NS >= 0
    )


def by_hand_features(packet: Packet[Features]) -> bool:
    """The fourth rule."""
    values = packet.value.values
    return bool(values[0] > 0.2 and values[1] > 1)


def questions() -> list[tuple[str, Callable[[Any], object], Callable[[Any], object], object]]:
    """Each rule with what asks it, the same by hand, and what is asked about."""
    [score] = packets([Score(1.5)])
    [event] = packets([EVENT])
    [features] = packets([FEATURES])
    [row] = detection_rows(FOUND)
    single = 'label == "person" and score > 0.6 and area > 0.01'
    whole: list[tuple[str, Callable[[Any], object], object]] = [
        ("ready and value > 1.2", by_hand_score, score),
        (
            'phase == "new" and facts["zone"] == "door" and duration_s >= 0',
            by_hand_event,
            event,
        ),
        (
            'values["x.rms"] > 0.2 and values["x.peak"] > 1',
            by_hand_features,
            features,
        ),
    ]
    return [
        (single, DetectionRule(single).test(Detections), by_hand_detection, row),
        *((text, Matcher(Rule(text), LogBook()), by_hand, about) for text, by_hand, about in whole),
    ]


def rows() -> list[Row]:
    """Measure."""
    made = []
    for text, ask, by_hand, about in questions():
        assert ask(about) == by_hand(about) == True  # noqa: E712 - equal, not only alike
        took_us, hand_us = us(ask, about), us(by_hand, about)
        detail = f"{took_us / hand_us:.1f} times by hand ({hand_us:.2f} us)"
        bound = f"<= {BOUND_US:.1f} us"
        made.append(Row(f"rule: {text}", bound, f"{took_us:.2f} us", took_us <= BOUND_US, detail))
    return made


if __name__ == "__main__":
    sys.stdout.writelines(f"{row}\n" for row in rows())
