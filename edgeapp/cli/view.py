"""One frame of the live view, as lines that fit the terminal. Pure: from a snapshot to text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeapp.cli import words
from edgeapp.cli.governor_words import LEVEL_COLORS, governor_lines
from edgeapp.cli.painter import fit, width
from edgeapp.core.answers import Event, Labels, Mask, Pose
from edgeapp.core.clock import NS
from edgeapp.core.payload import Detections, Features, Score
from edgeapp.runtime.status import PipelineStatus, StageStatus
from edgeapp.service.recent import Pace, Recent

_STATES = {
    "starting": "cyan",
    "running": "green",
    "waiting": "yellow",
    "stuck": "red",
    "failed": "red",
    "finished": "blue",
    "stopped": "blue",
}
_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "cyan": "36",
}
_STALE_S = 3.0
"""A result older than this says so."""
_BAR = 24
_NUMBERS = f"{'rate/s':>7}{'p50 ms':>8}{'p99 ms':>8}{'queue':>7}"
_LEAST_WIDTH = 40


@dataclass(frozen=True, slots=True)
class UplinkView:
    """The connection to the broker, in words."""

    state: str
    color: str
    facts: str
    outbox: str = ""
    """How well messages are kept, where that takes a line of its own."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a frame shows."""

    elapsed_s: float
    for_s: float | None
    pipelines: Sequence[PipelineStatus]
    recent: Recent
    now_ns: int
    """On the clock of `Packet.taken_ns`."""
    uplink: UplinkView | None = None
    """None where no pipeline sends messages."""
    hint: str = ""
    """How to watch the messages."""
    governor: Mapping[str, Any] | None = None
    """What the watchdog decided last; None: nothing yet, or there is none."""
    color: bool = field(default=True, kw_only=True)


def frame(scene: Scene, columns: int, rows: int) -> list[str]:
    """The lines of one frame: at most `rows`, each below `columns` wide."""
    paint = _Paint(max(_LEAST_WIDTH, columns) - 1, color=scene.color)
    head = [_title(scene, paint)]
    if scene.uplink is not None:
        up = scene.uplink
        head.append(paint.line((up.color, f"● {up.state}"), ("dim", f"  {up.facts}")))
        if up.outbox:
            head.append(paint.line(("dim", f"  {up.outbox}")))
    if scene.governor is not None:
        head += _governor(scene.governor, paint)
    foot = [paint.line(("dim", scene.hint))] if scene.hint else []
    room = max(2, rows - len(head) - len(foot))
    blocks = [_block(pipeline, scene, paint) for pipeline in scene.pipelines]
    return [*head, *_fitted(blocks, room), *foot]


def _title(scene: Scene, paint: "_Paint") -> str:
    elapsed = words.clock(scene.elapsed_s)
    if scene.for_s is not None:
        elapsed += f" of {words.clock(scene.for_s)}"
    return paint.line(("bold", "edgeapp"), ("", f"  {elapsed}"), ("dim", "  Ctrl-C stops"))


def _governor(facts: Mapping[str, Any], paint: "_Paint") -> list[str]:
    """The watchdog: one line, and one more while it holds something back."""
    first, *more = map(words.printable, governor_lines(facts))
    level, comma, rest = first.partition(", ")
    shown = paint.line((LEVEL_COLORS.get(facts["level"], ""), f"● {level}"), ("dim", comma + rest))
    return [shown, *(paint.line(("dim", line)) for line in more)]


@dataclass(slots=True)
class _Block:
    """The lines of one pipeline, by how much they are worth when rows are short."""

    title: str
    stages: list[tuple[int, str]]
    """Worth and line; the least worth goes first."""
    results: list[str]

    def height(self) -> int:
        return 1 + len(self.stages) + len(self.results)

    def shorten(self) -> bool:
        """Take one line away; False when nothing is left to take."""
        if len(self.results) > 1:
            self.results.pop()
        elif self.stages:
            worth = [worth for worth, _ in self.stages]
            del self.stages[worth.index(min(worth))]
        elif self.results:
            self.results.pop()
        else:
            return False
        return True

    def lines(self) -> list[str]:
        return [self.title, *(line for _, line in self.stages), *self.results]


def _fitted(blocks: list[_Block], room: int) -> list[str]:
    """The blocks in so many rows: a blank line between them if possible, else the tallest cut."""
    total = sum(block.height() for block in blocks)
    spaced = total + len(blocks) <= room
    while total > room:
        tallest = max(blocks, key=_Block.height)
        if not tallest.shorten():
            break
        total -= 1
    lines: list[str] = []
    for block in blocks:
        lines += ["", *block.lines()] if spaced else block.lines()
    return lines[:room]


def _block(pipeline: PipelineStatus, scene: Scene, paint: "_Paint") -> _Block:
    ids = max((len(stage.id) for stage in pipeline.stages), default=0)
    ids = min(max(ids, 8), 16)
    stages = [
        (_worth(stage), paint.stage(stage, scene.recent.pace(pipeline.name, stage.id), ids))
        for stage in pipeline.stages
    ]
    color = _STATES.get(pipeline.state, "")
    name = ("bold", pipeline.name)
    state = (color, f"  ● {pipeline.state}")
    if pipeline.why:
        title = paint.line(name, state, (color, f": {words.printable(pipeline.why)}"))
    else:
        title = paint.titled(name, state)
    return _Block(title, stages, _results(pipeline, scene, paint))


def _worth(stage: StageStatus) -> int:
    if any(stage.dropped.values()) or stage.waiting_for or stage.faults:
        return 3
    return {"source": 2, "model": 2, "output": 1, "action": 1}.get(stage.kind, 0)


def _results(pipeline: PipelineStatus, scene: Scene, paint: "_Paint") -> list[str]:
    """What was found last: what things are and what happens, or else what was measured."""
    for shown in ((Detections, Score, Event, Labels, Mask, Pose), (Features,)):
        lines = []
        values: list[object] = []
        for stage in pipeline.stages:
            last = stage.last
            if last is None or stage.kind in {"source", "action", "output"}:
                continue
            if not isinstance(last.value, shown) or any(last.value is v for v in values):
                continue
            values.append(last.value)
            lines.append(_result(stage.id, last.value, (scene.now_ns - last.taken_ns) / NS, paint))
        if lines:
            return lines
    return []


def _result(stage_id: str, value: object, age_s: float, paint: "_Paint") -> str:
    said = words.result(value)
    color = ""
    if isinstance(value, Score):
        if not value.ready:
            full = round(_BAR * min(1.0, max(0.0, value.progress)))
            said += f"  {'█' * full}{'░' * (_BAR - full)}"
            color = "cyan"
        else:
            color = "green" if value.value < 1 else "red"
    ago = f"  ({words.span(age_s)} ago)" if age_s > _STALE_S else ""
    return paint.line(("dim", f"  → {stage_id}: "), (color, said), ("dim", ago))


class _Paint:
    """Puts pieces of text side by side, cut to the width, styled where colors are wanted."""

    def __init__(self, columns: int, *, color: bool) -> None:
        self._width = columns
        self._color = color

    def line(self, *pieces: tuple[str, str]) -> str:
        """Pieces of (style, text), cut where the line ends."""
        left = self._width
        out = []
        for style, text in pieces:
            shown = text if width(text) <= left else fit(text, left)
            left -= width(shown)
            out.append(self._styled(style, shown))
            if left <= 0:
                break
        return "".join(out)

    def titled(self, *pieces: tuple[str, str]) -> str:
        """Pieces, and above the numbers of stages what they are."""
        taken = sum(width(text) for _, text in pieces)
        gap = self._numbers_at() - taken
        return self.line(*pieces, ("", " " * max(1, gap)), ("dim", f"{_NUMBERS}  dropped"))

    def stage(self, stage: StageStatus, pace: Pace, ids: int) -> str:
        """The line of one stage."""
        what = stage.variant or stage.plugin
        if stage.setting is not None and stage.setting.rung:
            what += f" ↓{stage.setting.rung}"  # so many steps down the ladder
        what_columns = self._numbers_at() - ids - 4
        went = words.reasons(stage.dropped)
        if stage.shed:
            went += f"{', ' if went else ''}{stage.shed:,} shed"
        if stage.lost:
            went += f"{', ' if went else ''}{stage.lost:,} lost"
        queue = str(stage.waiting) if stage.waiting else ""
        return self.line(
            ("", f"  {fit(stage.id, ids)}  "),
            ("dim", fit(what, what_columns)),
            ("", f"{words.rate(pace.rate_hz):>7}"),
            ("", f"{words.milliseconds(pace.p50_ms):>8}{words.milliseconds(pace.p99_ms):>8}"),
            ("", f"{queue:>7}"),
            ("yellow", f"  {went}"),
        )

    def _numbers_at(self) -> int:
        """The column at which the numbers begin: wide terminals leave more room for names."""
        return max(20, min(44, self._width - len(_NUMBERS) - 20))

    def _styled(self, style: str, text: str) -> str:
        if not (style and self._color and text):
            return text
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m"
