"""Whether a run came to what its trace expects."""

from collections.abc import Iterator

from edgeapp.simulation.score import Score
from edgeapp.simulation.spec import Expect

_SLACK = 1e-9


def missed(expect: Expect, score: Score, best: float | None) -> Iterator[str]:
    """A sentence for each expectation that was missed.

    `best`: utility of the clairvoyant; None: nobody asked, and what needs it is passed over.
    """
    ratio = score.utility / best if best else None
    at_least = (("of the best possible", expect.ratio_min, ratio),)
    for what, least, got in (*at_least, ("utility", expect.utility_min, score.utility)):
        if least is not None and got is not None and got < least - _SLACK:
            yield f"{what}: {100 * got:.1f} %, expected at least {100 * least:.1f} %"
    at_most: tuple[tuple[str, float | None, float, str], ...] = (
        ("above the trip", expect.over_s_max, score.over_s, " s"),
        ("avoidably above the trip", expect.avoidable_over_s_max, score.avoidable_s, " s"),
        ("model swaps an hour", expect.model_swaps_per_h_max, score.swaps_per_h, ""),
        ("changes", expect.changes_max, score.changes, ""),
        ("missed answers", _percent(expect.miss_max), 100 * score.miss, " %"),
    )
    for what, most, count, unit in at_most:
        if most is not None and count > most + _SLACK:
            yield f"{what}: {count:.4g}{unit}, expected at most {most:.4g}{unit}"
    yield from _times(expect, score)


def _times(expect: Expect, score: Score) -> Iterator[str]:
    within_s, at_s = expect.infeasible_within_s, score.infeasible_at_s
    if within_s is not None and (at_s is None or at_s > within_s):
        said = "never said" if at_s is None else f"said at {at_s:g} s"
        yield f"that it is too hot at the floor: {said}, expected within {within_s:g} s"
    for name, (after_s, wait_s) in expect.detects.items():
        if not any(after_s <= t_s <= after_s + wait_s for t_s in score.fired_at_s.get(name, ())):
            fired = ", ".join(f"{t_s:g} s" for t_s in score.fired_at_s.get(name, ())[:3]) or "never"
            yield f"{name}: fired {fired}, expected within {wait_s:g} s after {after_s:g} s"
    if expect.replan_within_s is not None:
        after_s, wait_s = expect.replan_within_s
        if not any(after_s <= t_s <= after_s + wait_s for t_s in score.changed_at_s):
            yield f"nothing changed within {wait_s:g} s after {after_s:g} s"
    if expect.battery_lasts_s is not None:
        low_s, high_s = expect.battery_lasts_s
        if not low_s <= score.ended_s <= high_s:
            yield f"it ran for {score.ended_s:g} s, expected {low_s:g} to {high_s:g} s"


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
