"""What a governor decided, for people and for the broker: log facts, notices, plain data."""

from collections.abc import Mapping
from typing import Any

from edgeapp.core.clock import NS
from edgeapp.core.dial import Setting
from edgeapp.document.render import clean
from edgeapp.uplink.notices import GovernedStage, GovernorNotice, SignalsNotice
from edgeapp.watchdog.ladder import CLOSED, StageKey
from edgeapp.watchdog.tick import Decision

NUMBERS_EVERY_S = 30.0
"""Where nothing but numbers has changed, the broker is told at most that often."""
_WARM_K = 1.0
_HEADROOM = 0.05
_CORES = 0.25
_LONGEST = 300
_MOST_STAGES = 64

Variants = Mapping[StageKey, tuple[str, ...]]
"""The names on each ladder, best first."""


def setting_words(setting: Setting, variants: tuple[str, ...]) -> str:
    """A setting in a few words: "conveyor_96, one in 2"."""
    if setting.divisor == CLOSED:
        return "closed"
    divided = f", one in {setting.divisor}" if setting.divisor > 1 else ""
    return f"{variants[setting.rung]}{divided}"


def decision_facts(decision: Decision, variants: Variants) -> dict[str, object]:
    """The facts of a decision that changes something, for one log line; unknown ones left out."""
    facts: dict[str, object | None] = {
        "reason": decision.reason,
        "device_level": decision.level,
        "binding": decision.binding,
        "detectors": ", ".join(decision.detectors) or None,
        "chosen": chosen_words(decision, variants),
        "next_best": decision.next_best or None,
        "die_c": _round(decision.die_c, 1),
        "headroom": _round(decision.headroom, 2),
        "trip_in_s": _round(decision.trip_in_s, 0),
        "forecast_30s_c": _round(decision.forecast_30s_c, 1),
        "forecast_300s_c": _round(decision.forecast_300s_c, 1),
        "cores_allowed": _round(decision.cores_allowed, 2),
        "cores_chosen": _round(decision.cores_chosen, 2),
        "utility": _round(decision.utility, 3),
        "swap_price": _round(decision.swap_price, 4),
        "swaps_last_h": decision.swaps_last_h,
        "doubted": ", ".join(f"{t.name} {t.problem}" for t in decision.trust if t.problem) or None,
        "infeasible": decision.infeasible or None,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def chosen_words(decision: Decision, variants: Variants) -> str:
    """What is chosen: "belt/detect conveyor_96, one in 2; hall paused"."""
    said = [
        f"{pipeline}/{stage} {setting_words(setting, variants[pipeline, stage])}"
        for (pipeline, stage), setting in decision.settings.items()
        if pipeline not in decision.paused and (pipeline, stage) in variants
    ]
    return "; ".join([*said, *(f"{name} paused" for name in sorted(decision.paused))])


def notice_of(decision: Decision, variants: Variants) -> GovernorNotice:
    """A decision as the broker keeps it, with as many digits as mean something."""
    return GovernorNotice(
        schema="edgeapp/governor/1",
        level=decision.level,
        reason=_plain(decision.reason),
        binding=decision.binding,
        infeasible=decision.infeasible,
        detectors=decision.detectors,
        die_c=_round(decision.die_c, 1),
        headroom=_round(decision.headroom, 2),
        trip_in_s=_round(decision.trip_in_s, 0),
        forecast_30s_c=_round(decision.forecast_30s_c, 1),
        forecast_300s_c=_round(decision.forecast_300s_c, 1),
        cores_allowed=round(decision.cores_allowed, 2),
        cores_chosen=round(decision.cores_chosen, 2),
        utility=round(decision.utility, 3),
        stages=_stages(decision.settings, variants),
        paused=tuple(sorted(decision.paused)),
        next_best=_plain(decision.next_best),
        swap_price=round(decision.swap_price, 4),
        swaps_last_h=decision.swaps_last_h,
        trust={_plain(each.name): round(each.trust, 2) for each in decision.trust},
    )


def _stages(settings: Mapping[StageKey, Setting], variants: Variants) -> tuple[GovernedStage, ...]:
    return tuple(
        GovernedStage(
            pipeline=key[0],
            stage=key[1],
            variant=variants[key][setting.rung],
            rung=setting.rung,
            divisor=setting.divisor,
        )
        for key, setting in list(settings.items())[:_MOST_STAGES]
        if key in variants
    )


class Told:
    """Decides when the broker is told anew. Bounded: once a tick at most, since it is asked once.

    What people act upon (level, choices, detectors, what binds, trust in sensors) is told as it
    changes. Numbers alone are told once in `NUMBERS_EVERY_S`, and only if they have moved by more
    than their noise: a device at rest says nothing.
    """

    def __init__(self) -> None:
        self._last: GovernorNotice | None = None
        self._at_ns = 0

    def is_news(self, notice: GovernorNotice, now_ns: int) -> bool:
        """Whether to tell; if so, it counts as told."""
        last = self._last
        if last is not None and _words(last) == _words(notice):
            since_s = (now_ns - self._at_ns) / NS
            if since_s < NUMBERS_EVERY_S or not _moved(last, notice):
                return False
        self._last, self._at_ns = notice, now_ns
        return True


def _words(notice: GovernorNotice) -> tuple[object, ...]:
    """What is not a number that trembles."""
    doubted = sorted(name for name, trust in notice.trust.items() if trust < 0.5)  # noqa: PLR2004 - half
    return (
        notice.level,
        notice.binding,
        notice.infeasible,
        notice.detectors,
        notice.stages,
        notice.paused,
        notice.die_c is None,
        doubted,
    )


def _moved(last: GovernorNotice, now: GovernorNotice) -> bool:
    pairs = (
        (last.die_c, now.die_c, _WARM_K),
        (last.forecast_300s_c, now.forecast_300s_c, _WARM_K),
        (last.headroom, now.headroom, _HEADROOM),
        (last.cores_allowed, now.cores_allowed, _CORES),
    )
    return any(
        (a is None) != (b is None) or (a is not None and b is not None and abs(a - b) >= step)
        for a, b, step in pairs
    )


def governor_facts(notice: GovernorNotice, signals: SignalsNotice | None = None) -> dict[str, Any]:
    """The state of the governor under names that say their units: for `status`, JSON and metrics.

    Every number is how things are now; none is a counter. Unknown ones are null. `signals`: what it
    has to go on; None: it was not told yet.
    """
    costs = () if signals is None else signals.costs
    return {
        "level": notice.level,
        "reason": notice.reason,
        "binding": notice.binding,
        "infeasible": notice.infeasible,
        "detectors": list(notice.detectors),
        "die_celsius": notice.die_c,
        "headroom_ratio": notice.headroom,
        "trip_in_s": notice.trip_in_s,
        "forecast_30s_celsius": notice.forecast_30s_c,
        "forecast_300s_celsius": notice.forecast_300s_c,
        "allowed_cores": notice.cores_allowed,
        "chosen_cores": notice.cores_chosen,
        "utility_ratio": notice.utility,
        "paused": list(notice.paused),
        "next_best": notice.next_best,
        "swap_price": notice.swap_price,
        "swaps_last_h": notice.swaps_last_h,
        "trust_ratio": dict(notice.trust),
        "acts_on": [] if signals is None else list(signals.acts_on),
        "not_measured": [each.pipeline for each in costs if not each.measured],
    }


def _plain(text: str) -> str:
    """Of names that files of the kernel gave, what can be shown. `clean` takes longer than a look."""
    return (text if text.isprintable() else clean(text))[:_LONGEST]


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
