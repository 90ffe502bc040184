"""A run as a picture: heat, what was chosen, and load over the same time. Needs matplotlib.

Nothing else imports matplotlib: it comes with the extra `plot`, for whoever draws.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeapp.core.dial import Setting

KINDS = ("png", "svg")
"""Endings of the files that can be drawn."""

_WIDTH_IN = 12.0
_DPI = 100
_INK, _GRID, _QUIET = "#222222", "#e4e4e4", "#8a8a8a"
_HEAT, _FORECAST, _TRIP = "#1f4e79", "#e08a1e", "#c0392b"
_OWN, _FOREIGN = "#7fb3d5", "#c9c9c9"
_RUNGS = ("#0b3c6f", "#2a7ab9", "#5fb0c9", "#9fd3b6", "#d9e8a0", "#f4e3a1")
"""Best first, dark to light: told apart also in grey and without colour vision."""
_HOUR_S = 3600.0
_MINUTES_UP_TO_S = 2 * _HOUR_S


class PlotError(Exception):
    """The picture cannot be drawn; a sentence that says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Band:
    """What was chosen for one model stage, tick for tick."""

    name: str
    variants: tuple[str, ...]
    """Best first."""
    settings: "Sequence[Setting | None]"
    """None: its pipeline was paused. A divisor of 0: its gate was closed."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A run, as it is drawn. All sequences are as long as `t_s`; None is left empty."""

    title: str
    note: str
    """A line below the title: how good it was."""
    t_s: Sequence[float]
    die_c: Sequence[float | None]
    forecast_c: Sequence[float | None]
    """Die temperature that was forecast for this moment, 30 s before."""
    ambient_c: Sequence[float | None]
    trip_c: float
    own_cores: Sequence[float | None]
    foreign_cores: Sequence[float | None]
    cores: float
    bands: tuple[Band, ...]
    faults: tuple[tuple[float, float, str], ...] = ()
    """When sensors were wrong: from, to, and how."""


def require_matplotlib() -> None:
    """Say early that it is missing, before anything long is calculated.

    Raises:
        PlotError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: F401  whether it is there
    except ImportError:
        raise PlotError(
            "plots need matplotlib, which is not installed: pip install 'edgeapp[plot]'"
        ) from None


def draw(chart: Chart, file: Path) -> None:
    """Draw a run, 1200 pixels wide, as PNG or SVG by the ending of the file.

    Raises:
        PlotError: matplotlib is not installed, or the file cannot be written.
    """
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style = {
        "font.size": 9,
        "font.family": "DejaVu Sans",
        "axes.edgecolor": _QUIET,
        "axes.labelcolor": _INK,
        "xtick.color": _QUIET,
        "ytick.color": _QUIET,
        "xtick.labelcolor": _INK,
        "ytick.labelcolor": _INK,
        "svg.hashsalt": "edgeapp",  # the same run gives the same file
        "svg.fonttype": "none",
    }
    bands = max(1, len(chart.bands))
    outside = any(one is not None for one in chart.ambient_c)
    tall = (2.7, 0.2 + 0.42 * bands, 1.1, *([0.55] if outside else []))
    with rc_context(style):
        figure = Figure(figsize=(_WIDTH_IN, sum(tall) + 1.6), dpi=_DPI, layout="constrained")
        heat, rungs, load, *rest = figure.subplots(
            len(tall), 1, sharex=True, gridspec_kw={"height_ratios": tall, "hspace": 0.04}
        )
        unit_s, unit = _unit(chart.t_s)
        at = [t_s / unit_s for t_s in chart.t_s]
        _heat(heat, chart, at, unit_s)
        _bands(rungs, chart, at)
        _load(load, chart, at)
        for ambient in rest:
            _ambient(ambient, chart, at)
        (rest[0] if rest else load).set_xlabel(unit)
        load.set_xlim(at[0], at[-1] if at[-1] > at[0] else at[0] + 1)
        figure.suptitle(chart.title, x=0.01, ha="left", fontsize=13, weight="bold", color=_INK)
        heat.set_title(chart.note, loc="left", fontsize=9, color=_INK)
        try:
            figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
        except OSError as error:
            raise PlotError(f"'{file}' cannot be written: {error.strerror}") from None


def _unit(t_s: Sequence[float]) -> tuple[float, str]:
    return (60.0, "minutes") if t_s[-1] - t_s[0] <= _MINUTES_UP_TO_S else (_HOUR_S, "hours")


def _heat(axes: Any, chart: Chart, at: Sequence[float], unit_s: float) -> None:
    die = _gaps(chart.die_c)
    for begin_s, end_s, kind in chart.faults:
        axes.axvspan(begin_s / unit_s, end_s / unit_s, color="#f3ece0", lw=0, zorder=0)
        axes.text(
            begin_s / unit_s,
            0.98,
            f" sensor: {kind}",
            transform=axes.get_xaxis_transform(),
            fontsize=8,
            color=_QUIET,
            va="top",
        )
    axes.plot(at, die, color=_HEAT, lw=1.1, label="die", zorder=2.5)
    axes.plot(at, _gaps(chart.forecast_c), color=_FORECAST, lw=0.8, label="forecast 30 s before")
    over = [one > chart.trip_c for one in die]
    axes.fill_between(at, chart.trip_c, die, where=over, color=_TRIP, alpha=0.6, lw=0)
    axes.axhline(
        chart.trip_c, color=_TRIP, lw=1.0, ls=(0, (4, 2)), label=f"trip {chart.trip_c:g} °C"
    )
    axes.set_ylabel("°C")
    _tidy(axes)
    axes.grid(axis="y", color=_GRID, lw=0.6)
    low, high = axes.get_ylim()
    axes.set_ylim(low, max(high, chart.trip_c + 3))
    _legend(axes)


def _bands(axes: Any, chart: Chart, at: Sequence[float]) -> None:
    """A strip for each stage: the colour is the variant, the height the rate of answers."""
    from matplotlib.patches import Patch

    seen: set[int] = set()
    empty = False
    for row, band in enumerate(reversed(chart.bands)):
        for setting, begin, wide in _stretches(band.settings, at):
            if setting is None or not setting.divisor:
                empty = True
                axes.broken_barh(
                    [(begin, wide)], (row + 0.1, 0.8), fc="white", ec="#d0d0d0", hatch="////", lw=0
                )
                continue
            seen.add(setting.rung)
            tall = 0.8 / setting.divisor**0.5
            axes.broken_barh([(begin, wide)], (row + 0.1, tall), fc=_colour(setting.rung), lw=0)
    axes.set_ylim(0, len(chart.bands) or 1)
    axes.set_yticks([row + 0.5 for row in range(len(chart.bands))])
    axes.set_yticklabels([band.name for band in reversed(chart.bands)])
    axes.tick_params(axis="y", length=0)
    _tidy(axes)
    names = _rung_names(chart)
    entries = [Patch(fc=_colour(rung), label=names[rung]) for rung in sorted(seen)]
    if empty:
        entries.append(Patch(fc="white", ec="#d0d0d0", hatch="////", lw=0, label="off"))
    _legend(axes, handles=entries, title="lower = fewer answers")


def _load(axes: Any, chart: Chart, at: Sequence[float]) -> None:
    foreign, own = _gaps(chart.foreign_cores), _gaps(chart.own_cores)
    both = [a + b for a, b in zip(foreign, own, strict=True)]
    axes.fill_between(at, 0, foreign, step="post", color=_FOREIGN, lw=0, label="others")
    axes.fill_between(at, foreign, both, step="post", color=_OWN, lw=0, label="edgeapp")
    axes.set_ylim(0, chart.cores)
    axes.set_ylabel("cores")
    _tidy(axes)
    axes.grid(axis="y", color=_GRID, lw=0.6)
    _legend(axes)


def _ambient(axes: Any, chart: Chart, at: Sequence[float]) -> None:
    axes.plot(at, _gaps(chart.ambient_c), color=_QUIET, lw=1.1, label="ambient")
    axes.set_ylabel("°C")
    axes.margins(y=0.3)
    _tidy(axes)
    axes.grid(axis="y", color=_GRID, lw=0.6)
    _legend(axes)


def _stretches(
    settings: "Sequence[Setting | None]", at: Sequence[float]
) -> "Iterator[tuple[Setting | None, float, float]]":
    """Stretches of time in which nothing changed: setting, begin and width."""
    position = 0
    for setting, same in groupby(settings):
        begin = at[position]
        position += sum(1 for _ in same)
        yield setting, begin, at[min(position, len(at) - 1)] - begin


def _rung_names(chart: Chart) -> list[str]:
    """The variants' own names where all stages have the same ones, else their places."""
    ladders = {band.variants for band in chart.bands}
    if len(ladders) == 1:
        return list(ladders.pop())
    return ["best", *(f"rung {n}" for n in range(2, 1 + max(map(len, ladders), default=1)))]


def _colour(rung: int) -> str:
    return _RUNGS[min(rung, len(_RUNGS) - 1)]


def _gaps(values: Sequence[float | None]) -> list[float]:
    return [nan if value is None else value for value in values]


def _tidy(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)


def _legend(axes: Any, **given: Any) -> None:
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.005, 1.0),
        frameon=False,
        fontsize=8,
        title_fontsize=8,
        alignment="left",
        handlelength=1.4,
        borderaxespad=0.0,
        **given,
    )
