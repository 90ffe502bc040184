"""What `edgeapp top` shows, as lines and cells: pure, from the status of a running process."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from edgeapp.cli import words

Facts = Mapping[str, Any]

COLUMNS = ("stage", "state", "per s", "p50 ms", "p99 ms", "waits", "lost", "variant", "last")
"""From the left: in a narrow terminal those on the right are left out."""
_WIDTHS = (20, 9, 7, 7, 7, 6, 8, 18, 20)
_MARGIN = 2
"""Around each column."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_LEAST_K = 4.0
"""A curve spans so many kelvin at least, or it would show noise as mountains."""
_SOON_S, _LATE_S = 30, 300


class Row(NamedTuple):
    """One line of the table."""

    key: str
    """`pipeline` or `pipeline/stage`."""
    cells: tuple[str, ...]
    state: str
    """Of the pipeline; empty for a stage."""


def columns_for(width: int) -> int:
    """How many columns fit; the stage and its rate are always there."""
    room, count = width, 0
    for each in _WIDTHS:
        room -= each + _MARGIN
        if room < 0:
            break
        count += 1
    return max(3, count)


def widths(count: int, width: int) -> list[int]:
    """How wide each of so many columns is: the last one takes what is left."""
    first = list(_WIDTHS[: count - 1])
    left = width - sum(first) - _MARGIN * count - 1
    return [*first, max(_WIDTHS[count - 1], left) if count == len(_WIDTHS) else _WIDTHS[count - 1]]


def rows(facts: Facts, count: int) -> Iterator[Row]:
    """Each pipeline and its stages, with so many cells."""
    for pipeline in facts["pipelines"]:
        name, state = words.printable(pipeline["name"]), pipeline["state"]
        why = words.printable(pipeline["why"])
        head = (name, state, "", "", "", "", "", "", why)
        yield Row(name, head[:count], state)
        for stage in pipeline["stages"]:
            yield Row(f"{name}/{stage['id']}", tuple(_cells(stage))[:count], "")


def _cells(stage: Facts) -> Iterator[str]:
    yield f"  {words.printable(stage['id'])}"
    yield stage["kind"]
    yield words.rate(stage["rate_hz"])
    yield words.milliseconds(stage["p50_ms"])
    yield words.milliseconds(stage["p99_ms"])
    yield f"{stage['waiting']:,}" if stage["waiting"] else ""
    lost = sum(stage["dropped"].values()) + stage["lost"]
    yield f"{lost:,}" if lost else ""
    yield variant(stage)
    yield words.printable(stage.get("waiting_for") or stage.get("last") or "")


def variant(stage: Facts) -> str:
    """Which model answers, how often, and whether a person holds it."""
    if not stage.get("variant"):
        return ""
    said = words.printable(stage["variant"])
    if stage["divisor"] != 1:
        said += " closed" if stage["divisor"] == 0 else f" 1/{stage['divisor']}"
    return f"{said} pinned" if stage["pinned"] else said


def head(facts: Facts) -> list[str]:
    """Device, how it was started, and the way out."""
    from edgeapp.cli.uplink_words import uplink_lines
    from edgeapp.service.starts.start import Start

    said = [f"{facts['device']}: edgeapp {facts['version']}, up {words.span(facts['up_s'])}"]
    if sentence := Start(**facts["start"]).sentence():
        said.append(words.printable(sentence))
    if facts.get("uplink"):
        said += map(words.printable, uplink_lines(facts["uplink"]))
    return said


def heat(governor: Facts | None, seen_c: Sequence[float], width: int) -> str:
    """How warm it was and is going to be, as a curve: seen before the bar, forecast behind it."""
    if governor is None:
        return "no watchdog"
    now_c = governor["die_celsius"]
    if now_c is None:
        return f"{governor['level']}, no temperature sensor"
    soon_c, late_c = governor["forecast_30s_celsius"], governor["forecast_300s_celsius"]
    said = f"{now_c:.1f} °C"
    if soon_c is not None and late_c is not None:
        said += f", {soon_c:.0f} in 30 s, {late_c:.0f} in 5 min"
    said += f", {governor['level']}"
    room = width - len(said) - 4
    if room < 16:  # noqa: PLR2004  a curve of fewer columns says nothing
        return said
    ahead = _ahead(now_c, soon_c, late_c, room // 3)
    past = list(seen_c)[-(room - len(ahead)) :]
    return f"{curve(past, ahead)}  {said}"


def _ahead(now_c: float, soon_c: float | None, late_c: float | None, count: int) -> list[float]:
    """The forecast, evenly over the next five minutes."""
    if soon_c is None or late_c is None:
        return []
    times_s = [_LATE_S * (n + 1) / count for n in range(count)]
    return [
        now_c + (soon_c - now_c) * t / _SOON_S
        if t <= _SOON_S
        else soon_c + (late_c - soon_c) * (t - _SOON_S) / (_LATE_S - _SOON_S)
        for t in times_s
    ]


def curve(past: Sequence[float], ahead: Sequence[float]) -> str:
    """Blocks of eight heights, on one scale for both."""
    every = [*past, *ahead]
    if not every:
        return ""
    low, high = min(every), max(every)
    span = max(_LEAST_K, high - low)
    heights = [_BLOCKS[min(7, int((value - low) / span * 8))] for value in every]
    return f"{''.join(heights[: len(past)])}│{''.join(heights[len(past) :])}"
