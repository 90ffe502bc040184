"""Knowing things again from one picture to the next, after ByteTrack.

Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022.
What the paper counts in frames is seconds of stream time here, and a picture need not show all.
"""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from edgeapp.api import (
    Context,
    Detections,
    Field,
    Live,
    Options,
    Packet,
    Run,
    RunMemory,
    Tracks,
    View,
    transform,
)
from edgeapp.transforms._assignment import pairs
from edgeapp.transforms._boxes import overlaps, shown
from edgeapp.transforms._kalman import Motion
from edgeapp.transforms._labels import LabelsOption, Wanted

NS = 1_000_000_000

MOST = 256
"""Things followed at once, and detections looked at in a picture."""

_SURE_BELOW_ENTER = 0.1
"""A known thing is matched first with scores down to so much below `enter_score`: authors' code."""
_SAME_AGAIN = 0.3
"""Least overlap, times score, for the second sight of a new thing: authors' code."""
_ONE_AND_THE_SAME = 0.85
"""Overlap from which a thing found anew is the one that was lost there: authors' code."""
_COAST_S = 1.0
"""For how long a thing is taken to go on as it did while no picture is looked at."""
_USUAL_ASPECT = 16 / 9
_EPOCH_BITS = 32

_STRIDE = 0.5
"""How many of its heights a thing of unknown speed may go in a second."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class TrackOptions(Options):
    """What begins, keeps and ends a track."""

    label: LabelsOption = Field(
        default=(), description="Follow these labels only: one, or a list. Left out: all."
    )
    enter_score: Annotated[float, Live()] = Field(
        default=0.6, gt=0, le=1, description="Begin to follow what has at least this score."
    )
    keep_score: Annotated[float, Live()] = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Go on following with scores down to this. Let the model's min_score be as "
        "low, or a half-hidden thing is lost.",
    )
    min_hits: Annotated[int, Live()] = Field(
        default=2,
        ge=1,
        le=100,
        description="Tell of a new thing once it was found in so many pictures in a row.",
    )
    lost_s: float = Field(
        default=2.0,
        gt=0,
        le=3600,
        description="Forget a thing that was looked for and not found for so long, in seconds of "
        "stream time. Until then it keeps its id.",
    )
    match_iou: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="A box is a known thing only if it shares this much with where that is "
        "expected (intersection over union, times the box's score).",
    )
    match_iou_low: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="The same for boxes of low score, which count for what is being seen only.",
    )
    across_labels: bool = Field(
        default=False,
        description="Let a thing change its label, such as from car to truck, and stay the same.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.keep_score > self.enter_score:
            raise ValueError("keep_score is not higher than enter_score")
        return self


@dataclass(slots=True)
class _Followed(Motion):
    """The things that are followed, one in each row of every array."""

    ids: Ints
    """0 until it was seen often enough."""
    hits: Ints
    kinds: Ints
    """Index of the label."""
    began_ns: Ints
    seen_ns: Ints
    missed_ns: Ints
    """When it was first looked for without being found; -1 while it is found."""

    @classmethod
    def new(cls, boxes: Floats, kinds: Ints, t_ns: int) -> "_Followed":
        """Things that were seen for the first time."""
        n, motion = len(kinds), Motion.seen(boxes)
        return cls(
            motion.at,
            motion.speed,
            motion.covariance,
            ids=np.zeros(n, np.int64),
            hits=np.ones(n, np.int64),
            kinds=kinds,
            began_ns=np.full(n, t_ns),
            seen_ns=np.full(n, t_ns),
            missed_ns=np.full(n, -1),
        )


TrackMemory = tuple[RunMemory | None, dict[str, NDArray[Any]], int, int, tuple[str, ...], float]


def _none() -> _Followed:
    return _Followed.new(np.empty((0, 4)), np.empty(0, np.int64), 0)


@transform("track")
class Track:
    """Follow things from picture to picture and give each an id of its own.

    Passes on one `Tracks` for each packet, empty ones too: the boxes of this picture that belong
    to a thing seen before, as the model gave them, best score first.

    A thing outside the part of the scene that a picture shows was not looked for and keeps its id,
    as it does while no picture comes at all. Everything is forgotten when the source was reopened.
    No id is used twice in a run, not even when this stage was rebuilt after a fault: ids go on
    from the number of the first packet, of which each can bring `MOST` new ones.
    """

    def __init__(self, options: TrackOptions, context: Context) -> None:
        del context  # needs nothing from outside
        self._options = options
        self._wanted = Wanted(options.label)
        self._lost_ns = round(options.lost_s * NS)
        self._sure = max(options.keep_score, options.enter_score - _SURE_BELOW_ENTER)
        self._run = Run()
        self._followed = _none()
        self._t_ns = 0
        self._next_id = 0
        self._labels: tuple[str, ...] = ()
        self._aspect = _USUAL_ASPECT

    def tune(self, options: TrackOptions) -> None:
        """Other scores, from the next picture on."""
        self._options = options

    def remember(self) -> "TrackMemory":
        """What is followed, and the next id."""
        things = {one.name: getattr(self._followed, one.name) for one in fields(_Followed)}
        run = self._run.remember()
        return run, things, self._t_ns, self._next_id, self._labels, self._aspect

    def recall(self, memory: "TrackMemory") -> None:
        """Know the same things again after a reload."""
        run, things, self._t_ns, self._next_id, self._labels, self._aspect = memory
        self._run.recall(run)
        self._followed = _Followed(**things)

    def process(self, packet: Packet[Detections]) -> Tracks:
        """The detections that belong to known things."""
        if self._run.began(packet):
            self._begin(packet)
        found, t_ns = self._wanted.of(packet.value), packet.t_ns
        if found.labels is not self._labels:
            self._rename(found.labels)
        view = View() if found.image is None else found.image.view
        if found.image is not None:
            width, height = found.image.size
            self._aspect = (width / view.width) / (height / view.height)
        self._let_pass((t_ns - self._t_ns) / NS)
        self._t_ns = t_ns

        xyxy, scores = found.xyxy[:MOST].astype(np.float64), found.scores[:MOST]
        classes = found.classes[:MOST].astype(np.int64)
        expected = self._expected()
        owner = self._recognise(expected, xyxy, scores, classes, view)
        self._see(owner, self._measured(xyxy), classes)
        told, ids = self._tell(owner)
        self._forget(expected, view)
        self._add(
            np.flatnonzero((owner < 0) & (scores >= self._options.enter_score)), xyxy, classes
        )
        return Tracks(
            found.xyxy[told],
            found.scores[told],
            found.classes[told],
            found.labels,
            found.image,
            ids=ids,
        )

    # -- time -------------------------------------------------------------------------------

    def _begin(self, packet: Packet[Detections]) -> None:
        self._t_ns = packet.t_ns
        self._followed = _none()
        if not self._next_id:
            before = (packet.epoch << _EPOCH_BITS) + packet.seq + (packet.part > 0)
            self._next_id = before * MOST + 1

    def _rename(self, labels: tuple[str, ...]) -> None:
        """Another variant of the model may number its labels in another way."""
        kinds = self._followed.kinds
        if labels != self._labels and len(kinds):
            numbers = {label: n for n, label in enumerate(labels)}
            table = np.array([numbers.get(label, -1) for label in self._labels], np.int64)
            self._followed.kinds = np.where(kinds >= 0, table[kinds], -1)
        self._labels = labels

    def _let_pass(self, seconds: float) -> None:
        things = self._followed
        things.speed[things.missed_ns >= 0, 2:] = 0.0  # hidden, it neither grows nor shrinks
        things.predict(min(seconds, _COAST_S))
        if seconds > _COAST_S:
            things.speed[:] = 0.0  # what it did so long ago says nothing any more

    # -- one picture ------------------------------------------------------------------------

    def _expected(self) -> Floats:
        """(n, 4) boxes where the things should be; what leaves the picture lies outside 0..1."""
        at = self._followed.at
        half = at[:, 2:] / 2
        xyxy = np.concatenate([at[:, :2] - half, at[:, :2] + half], axis=1)
        xyxy[:, ::2] /= self._aspect
        return xyxy

    def _measured(self, xyxy: Floats) -> Floats:
        """Boxes as the filter knows them: centre and size, in heights of the source picture."""
        boxes = np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], axis=1)
        boxes[:, ::2] *= self._aspect
        return boxes

    def _recognise(
        self,
        expected: Floats,
        xyxy: Floats,
        scores: NDArray[np.float32],
        classes: Ints,
        view: View,
    ) -> Ints:
        """(n,) the row of the thing that each detection shows, -1 where it is none."""
        things, options = self._followed, self._options
        owner = np.full(len(scores), -1)
        if not len(things.ids) or not len(scores):
            return owner
        known, sure = things.ids > 0, scores >= self._sure
        like = overlaps(_cut(expected, view), xyxy)
        if not known.all():
            like[~known] = self._like_new(expected[~known], xyxy, things.seen_ns[~known])
        if not options.across_labels:
            like *= things.kinds[:, None] == classes[None, :]
        like_and_sure = like * scores
        free = np.ones(len(things.ids), bool)

        def match(
            rows: NDArray[np.bool_], columns: NDArray[np.bool_], how_like: Floats, least: float
        ) -> None:
            which, what = np.flatnonzero(rows & free), np.flatnonzero(columns & (owner < 0))
            if len(which) and len(what):
                a, b = pairs(1 - how_like[np.ix_(which, what)], 1 - least)
                owner[what[b]] = which[a]
                free[which[a]] = False

        match(known, sure, like_and_sure, options.match_iou)
        unsure = ~sure & (scores >= options.keep_score)
        match(known & (things.missed_ns < 0), unsure, like, options.match_iou_low)
        match(~known, sure, like_and_sure, _SAME_AGAIN)
        return owner

    def _like_new(self, expected: Floats, xyxy: Floats, seen_ns: Ints) -> Floats:
        """Overlaps with things of unknown speed: both grow by how far it may have come."""
        seconds = np.minimum((self._t_ns - seen_ns) / NS, _COAST_S)
        reach = _STRIDE * seconds * (expected[:, 3] - expected[:, 1])
        more = np.stack([-reach / self._aspect, -reach, reach / self._aspect, reach], axis=1)
        return overlaps(expected + more, xyxy[None, :, :] + more[:, None, :])

    def _see(self, owner: Ints, boxes: Floats, classes: Ints) -> None:
        """Remember what was found of what is known; a thing seen often enough gets its id."""
        things = self._followed
        what = np.flatnonzero(owner >= 0)
        which = owner[what]
        things.correct(which, boxes[what])
        things.kinds[which] = classes[what]
        things.hits[which] += things.seen_ns[which] < self._t_ns
        things.seen_ns[which] = self._t_ns
        things.missed_ns[which] = -1
        sure = which[(things.ids[which] == 0) & (things.hits[which] >= self._options.min_hits)]
        things.ids[sure] = np.arange(self._next_id, self._next_id + len(sure))
        self._next_id += len(sure)

    def _tell(self, owner: Ints) -> tuple[Ints, Ints]:
        """The detections of things that have an id, and those ids."""
        told = np.flatnonzero(owner >= 0)
        ids = self._followed.ids[owner[told]]
        return told[ids > 0], ids[ids > 0]

    # -- what stays -------------------------------------------------------------------------

    def _forget(self, expected: Floats, view: View) -> None:
        """Drop what was looked for in vain: at once if it was new, else after a while."""
        things = self._followed
        missed = (things.seen_ns < self._t_ns) & shown(expected, view)
        things.missed_ns[missed & (things.missed_ns < 0)] = self._t_ns
        gone = missed & (things.ids == 0)
        gone |= missed & (self._t_ns - things.missed_ns >= self._lost_ns)
        gone |= self._found_anew(expected)
        if gone.any():
            self._followed = things.pick(~gone)

    def _found_anew(self, expected: Floats) -> NDArray[np.bool_]:
        """(n,): whether a lost thing is where one is that turned up since: the same, renamed."""
        things = self._followed
        again = things.missed_ns >= 0
        lost, found = np.flatnonzero(again), np.flatnonzero(~again)
        if len(lost) and len(found):
            later = things.began_ns[found] > things.missed_ns[lost, None]
            close = overlaps(expected[lost], expected[found]) > _ONE_AND_THE_SAME
            again[lost] = (later & close).any(axis=1)
        else:
            again[:] = False
        return again

    def _add(self, what: Ints, xyxy: Floats, classes: Ints) -> None:
        """Follow new things, the surest first, as far as there is room."""
        what = what[: MOST - len(self._followed.ids)]
        if len(what):
            new = _Followed.new(self._measured(xyxy[what]), classes[what], self._t_ns)
            self._followed = self._followed.with_more(new)


def _cut(xyxy: Floats, view: View) -> Floats:
    """Boxes as far as a picture of that view would show them, which is what a model sees."""
    low = max(0.0, view.left), max(0.0, view.top)
    high = min(1.0, view.left + view.width), min(1.0, view.top + view.height)
    return np.asarray(xyxy.clip(low * 2, high * 2), np.float64)
