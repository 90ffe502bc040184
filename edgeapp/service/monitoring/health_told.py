"""What the broker is told of the health of a device, and when: at once, but not all the time."""

from collections.abc import Iterator

from edgeapp.core.clock import NS, Clock
from edgeapp.service.monitoring.health import Health
from edgeapp.service.monitoring.silence import silence_notice
from edgeapp.uplink.notices import HealthNotice, Notice, PipelineHealth

NUMBERS_EVERY_S = 60.0
"""Where nothing but numbers has changed, the broker is told at most that often."""
CHANGES = 10
"""So many changes are told at once; from then on, one in `NUMBERS_EVERY_S`."""
_RATE = 0.1
_AGE = 0.25
"""By such a share a number has to differ from what was told, to be told again."""


class HealthTold:
    """The newest that is worth telling. Asked about once a second, on the event loop.

    What people act upon (health, states, models, silent sources, a first loss of its kind, a fault)
    is told as it changes; numbers once in `NUMBERS_EVERY_S`, and only if they moved: a device at
    rest says nothing. So there are at most 1,440 messages a day, and `CHANGES` on top.
    """

    def __init__(self, health: Health, clock: Clock) -> None:
        self._health = health
        self._now_ns = clock.now_ns
        self._last: HealthNotice | None = None
        self._at_ns = 0
        self._left = float(CHANGES)
        self._filled_ns = clock.now_ns()

    def notices(self) -> Iterator[tuple[str, Notice]]:
        """What the broker should have, by topic below the device's."""
        now = self._health.look()
        yield "health", self._worth_telling(now)
        for (pipeline, stage), silence in self._health.silences.items():
            yield f"{pipeline}/{stage}/silent", silence_notice(pipeline, stage, silence)

    def _worth_telling(self, now: HealthNotice) -> HealthNotice:
        now_ns = self._now_ns()
        refill = (now_ns - self._filled_ns) / NS / NUMBERS_EVERY_S
        self._left, self._filled_ns = min(float(CHANGES), self._left + refill), now_ns
        last = self._last
        if last is not None:
            changed = _words(last) != _words(now)
            due = now_ns - self._at_ns >= NUMBERS_EVERY_S * NS
            if not ((changed and self._left >= 1) or (due and (changed or _moved(last, now)))):
                return last
        self._left = max(0.0, self._left - 1)
        self._last, self._at_ns = now, now_ns
        return now


def _words(notice: HealthNotice) -> tuple[object, ...]:
    """What is not a number that trembles."""
    return (
        notice.health,
        notice.why,
        tuple(
            (
                each.pipeline,
                each.state,
                _without_numbers(each.why),
                each.models,
                each.silent,
                frozenset((loss.stage, loss.reason) for loss in each.losses),
                None if each.last_fault is None else each.last_fault.count,
            )
            for each in notice.pipelines
        ),
    )


def _without_numbers(why: str) -> str:
    """A stuck stage is told once, and not each second anew with how long."""
    return "".join(char for char in why if not char.isdigit())


def _moved(last: HealthNotice, now: HealthNotice) -> bool:
    return any(
        _differ(a.rate_hz, b.rate_hz, _RATE)
        or _differ(a.age_p50_ms, b.age_p50_ms, _AGE)
        or _differ(a.age_p99_ms, b.age_p99_ms, _AGE)
        or _lost(a) != _lost(b)
        for a, b in zip(last.pipelines, now.pipelines, strict=True)
    )


def _lost(pipeline: PipelineHealth) -> list[int]:
    return [loss.packets for loss in pipeline.losses]


def _differ(a: float | None, b: float | None, share: float) -> bool:
    if a is None or b is None:
        return a is not b
    return abs(a - b) > share * max(a, b)
