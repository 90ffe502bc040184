"""From scores to events: what is heard or seen for a while, from its beginning to its end."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from edgeapp.api import (
    At,
    BadPacket,
    Context,
    Continuity,
    Event,
    Field,
    Image,
    Labels,
    Live,
    Options,
    Packet,
    Phase,
    Score,
    event_id,
    transform,
)
from edgeapp.transforms._hysteresis import Episode, Rules, Watch
from edgeapp.transforms._labels import LabelsOption

NS = 1_000_000_000
_LEAVE = 0.7
"""`leave`, if not given, as a share of `enter`: 0.35 of 0.5."""

Why = Literal["quiet", "lost", "reopened", "relabelled", "stopped"]
_Scores = NDArray[np.floating[Any]]


class EpisodesOptions(Options):
    """When an episode begins, when it ends, and which ones count."""

    label: LabelsOption = Field(
        default=(),
        description="Which labels have episodes: one, or a list. Left out: all. For scores, what "
        "an episode is called; left out: the id of this stage.",
    )
    kind: str = Field(
        default="sound", min_length=1, description="What the events say that they are."
    )
    enter: Annotated[float, Live()] = Field(
        default=0.5, gt=0, description="An episode begins when the score is at least this."
    )
    leave: Annotated[float | None, Live()] = Field(
        default=None,
        gt=0,
        description="It may end when the score is below this; 0.7 of `enter` if not given.",
    )
    smooth_s: float = Field(
        default=0.0,
        ge=0,
        le=60,
        description="Take the mean score of so many seconds of stream time; 0: each by itself.",
    )
    hits: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="How many scores of at least `enter` it takes to begin, within `within_s`.",
    )
    within_s: float | None = Field(
        default=None,
        gt=0,
        le=3600,
        description="The seconds of stream time in which `hits` scores must come.",
    )
    min_s: Annotated[float, Live()] = Field(
        default=0.0, ge=0, description="Leave out episodes that are shorter than so many seconds."
    )
    gap_s: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0,
        description="An episode ends once the score has been below `leave` for so many seconds; a "
        "shorter gap is a part of it.",
    )
    pad_s: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0,
        le=60,
        description="Let episodes begin so many seconds earlier and end so many seconds later.",
    )
    update_s: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0,
        description="Tell of a lasting episode again every so many seconds; 0: only of its "
        "beginning and its end.",
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.leave is not None and self.leave > self.enter:
            raise ValueError("leave is not higher than enter")
        if (self.hits > 1) != (self.within_s is not None):
            raise ValueError("hits and within_s go together: give both, or none of them")
        return self


@dataclass(slots=True)
class _Told:
    """What is told of an episode that lasts."""

    began_ns: int
    """With padding."""
    shown: float
    """The score of the image."""
    image: Image | None
    event: str = ""
    """Its id; empty until it has lasted long enough to be told of."""
    told_ns: int = 0
    """When it was last."""


class _Label:
    """One label: its score is watched, and told of."""

    def __init__(self, name: str, rules: Rules, first_ns: int) -> None:
        self.name = name
        self.watch = Watch(rules)
        self.free_ns = first_ns
        """Where the first score began, or the episode before ended."""
        self.told: _Told | None = None
        """While an episode lasts."""

    def remember(self) -> tuple[Any, ...]:
        told = self.told
        said = None
        if told is not None:
            said = told.began_ns, told.shown, told.image, told.event, told.told_ns
        return self.watch.remember(), self.free_ns, said

    def recall(self, memory: tuple[Any, ...]) -> None:
        watch, self.free_ns, said = memory
        self.watch.recall(watch)
        self.told = None if said is None else _Told(*said)


class _Mean:
    """The mean of the scores of the last so many nanoseconds of stream time; 0: of the last one."""

    def __init__(self, over_ns: int) -> None:
        self._over_ns = over_ns
        self._kept: deque[tuple[int, _Scores]] = deque()
        self._sum: Any = 0.0

    def remember(self) -> tuple[tuple[tuple[int, _Scores], ...], Any]:
        return tuple(self._kept), self._sum

    def recall(self, memory: tuple[tuple[tuple[int, _Scores], ...], Any]) -> None:
        kept, self._sum = memory
        self._kept.extend(kept)

    def of(self, now_ns: int, scores: _Scores) -> _Scores:
        """Take the scores of now; the mean with those before."""
        if not self._over_ns:
            return scores
        kept = self._kept
        kept.append((now_ns, scores))
        self._sum = self._sum + scores.astype(np.float64)
        while now_ns - kept[0][0] >= self._over_ns:
            self._sum = self._sum - kept.popleft()[1]
        mean: _Scores = self._sum / len(kept)
        return mean


@transform("episodes")
class Episodes:
    """Make events of scores: one for each time that a label is heard, from beginning to end.

    An episode begins with the first score that reaches `enter`, and ends where the score fell below
    `leave` for `gap_s`. It is told of once it has lasted `min_s`, its padding apart. Each label has
    one episode at a time. A score stands for the time that its window covers; where windows
    overlap, for the middle of it, so that they touch.

    Where packets were lost, the source was reopened or a model with other labels answers, what
    lasts ends there, and all starts anew.

    Facts: `start_s` and `duration_s` so far, of stream time; at the end also `end_s` and `why`:
    quiet, lost, reopened, relabelled or stopped. The image is that of the best score.
    """

    def __init__(self, options: EpisodesOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._score_label = options.label or (context.id,)
        self._continuity = Continuity()
        self._run: tuple[str, int] | None = None
        self._known: tuple[str, ...] = ()
        self._chosen: NDArray[np.intp] | None = None
        """Where among the scores those of `_names` are; None: they are all."""
        self._labels: dict[int, _Label] = {}
        self.tune(options)
        self._restart(())

    def tune(self, options: EpisodesOptions) -> None:
        """Other limits, from the next score on, also for an episode that lasts."""
        self._rules = Rules(
            options.enter,
            _LEAVE * options.enter if options.leave is None else options.leave,
            options.hits,
            round((options.within_s or 0) * NS),
            round(options.gap_s * NS),
        )
        self._min_ns = round(options.min_s * NS)
        self._pad_ns = round(options.pad_s * NS)
        self._update_ns = round(options.update_s * NS)
        for label in self._labels.values():
            label.watch.rules = self._rules

    def _restart(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._labels = {}
        self._lasting = np.zeros(len(names), np.bool_)
        self._mean = _Mean(round(self._options.smooth_s * NS))
        self._first_ns: int | None = None
        """Where the first score began."""
        self._heard_ns = 0
        """Up to where scores were heard."""
        self._last_ns = 0

    def remember(self) -> dict[str, Any]:
        """What lasts, and all that was heard of late."""
        return {
            "run": self._continuity.run.remember(),
            "known": self._known,
            "names": self._names,
            "chosen": self._chosen,
            "labels": {index: label.remember() for index, label in self._labels.items()},
            "lasting": self._lasting,
            "mean": self._mean.remember(),
            "times": (self._first_ns, self._heard_ns, self._last_ns),
        }

    def recall(self, memory: dict[str, Any]) -> None:
        """Go on with what lasts, as if nothing had been heard while the pipeline was reloaded."""
        self._continuity.run.recall(memory["run"])
        self._restart(memory["names"])
        self._known, self._chosen = memory["known"], memory["chosen"]
        self._lasting = memory["lasting"]
        self._mean.recall(memory["mean"])
        self._first_ns, self._heard_ns, self._last_ns = memory["times"]
        for index, label in memory["labels"].items():
            self._labels[index] = _Label(self._names[index], self._rules, 0)
            self._labels[index].recall(label)

    def process(self, packet: Packet[Labels | Score]) -> list[At[Event]]:
        """What begins, goes on and ends with this packet.

        Raises:
            BadPacket: the model upstream does not know a label at all.
        """
        out: list[At[Event]] = []
        value, now_ns, run = packet.value, packet.t_ns, (packet.origin, packet.epoch)
        if self._continuity.broken(packet):
            out += self._end_all("lost" if run == self._run else "reopened")
            self._restart(self._names)
        self._run = run
        if isinstance(value, Labels):
            labels, image, scores = value.labels, value.image, value.scores
        else:
            labels, image = self._score_label, None
            scores = np.array([value.value if value.ready else 0.0])
        if labels is not self._known and labels != self._known:
            out += self._end_all("relabelled")
            try:
                self._learn(labels, len(scores))
            except BadPacket:
                if out:
                    return out  # what began must end; the next packet will say what is wrong
                raise
        if self._chosen is not None:
            scores = scores[self._chosen]
        begin_ns, end_ns = self._stretch(now_ns, packet.span_ns)
        scores = self._mean.of(now_ns, scores)
        busy = (scores >= self._rules.enter) | self._lasting
        if busy.any():
            for index in np.flatnonzero(busy).tolist():
                out += self._hear(index, float(scores[index]), image, begin_ns, end_ns)
        return out

    def flush(self) -> list[At[Event]]:
        """The ends of what lasts."""
        out = list(self._end_all("stopped"))
        self._restart(self._names)
        return out

    def _learn(self, labels: tuple[str, ...], scores: int) -> None:
        """Look up the labels to watch, among those that there are scores of."""
        self._restart(())
        self._known = ()
        names = self._options.label or labels
        unknown = [name for name in names if name not in labels]
        if unknown or len(labels) != scores:
            problem = (
                f"the model upstream knows no {', '.join(unknown)}; it knows {', '.join(labels)}"
                if unknown
                else f"a score is of one thing, and 'label' names {len(labels)}"
            )
            raise BadPacket(problem, reason="unknown_label")
        self._known = labels
        self._chosen = None
        if names != labels:
            self._chosen = np.array([labels.index(name) for name in names], np.intp)
        self._restart(names)

    def _stretch(self, now_ns: int, span_ns: int) -> tuple[int, int]:
        """The time that a score stands for; it begins no earlier than the one before ended."""
        begin_ns, end_ns = now_ns - span_ns, now_ns
        if self._first_ns is None:
            self._first_ns = begin_ns
        else:
            shared_ns = max(0, span_ns - (now_ns - self._last_ns))
            begin_ns = max(begin_ns + shared_ns // 2, self._heard_ns)
            end_ns = max(end_ns - shared_ns // 2, begin_ns)
        self._last_ns, self._heard_ns = now_ns, end_ns
        return begin_ns, end_ns

    def _hear(
        self, index: int, score: float, image: Image | None, begin_ns: int, end_ns: int
    ) -> Iterator[At[Event]]:
        """Take the next score of one label."""
        label = self._labels.get(index)
        if label is None:
            label = _Label(self._names[index], self._rules, self._first_ns or 0)
            self._labels[index] = label
        over = label.watch.hear(score, begin_ns, end_ns)
        if over is not None:
            self._lasting[index] = False
            yield from self._end(label, over, "quiet")
            return
        episode = label.watch.episode
        if episode is None:
            return
        told = label.told
        if told is None:
            self._lasting[index] = True
            began_ns = max(episode.start_ns - self._pad_ns, label.free_ns)
            told = label.told = _Told(began_ns, score, image)
        elif score > told.shown:
            told.shown, told.image = score, image
        if not told.event:
            if episode.end_ns - episode.start_ns >= self._min_ns:
                told.event = event_id(self._context.id, self._context.random)
                yield self._event("new", label.name, told, episode)
        elif self._update_ns and self._last_ns - told.told_ns >= self._update_ns:
            yield self._event("update", label.name, told, episode)

    def _end_all(self, why: Why) -> Iterator[At[Event]]:
        """End what lasts, where the last score ended."""
        for label in self._labels.values():
            if label.watch.episode is not None:
                yield from self._end(label, label.watch.episode, why)

    def _end(self, label: _Label, episode: Episode, why: Why) -> Iterator[At[Event]]:
        told, label.told = label.told, None
        if told is not None and told.event:
            label.free_ns = min(episode.end_ns + self._pad_ns, self._heard_ns)
            yield self._event("end", label.name, told, episode, (label.free_ns, why))

    def _event(
        self,
        phase: Phase,
        name: str,
        told: _Told,
        episode: Episode,
        ended: tuple[int, Why] | None = None,
    ) -> At[Event]:
        told.told_ns = self._last_ns
        so_far_ns = (ended[0] if ended else episode.end_ns) - told.began_ns
        facts: dict[str, float | str | bool] = {
            "start_s": told.began_ns / NS,
            "duration_s": so_far_ns / NS,
        }
        if ended:
            facts |= {"end_s": ended[0] / NS, "why": ended[1]}
        return At(
            Event(
                phase,
                told.event,
                self._options.kind,
                name,
                told.began_ns,
                score=episode.score,
                image=told.image,
                facts=facts,
            ),
            self._last_ns,
        )
