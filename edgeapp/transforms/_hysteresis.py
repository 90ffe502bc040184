"""When one score is high for a while: from where to where, and whether that is long enough."""

from collections import deque
from dataclasses import astuple, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rules:
    """When an episode begins and ends. Times are of the stream."""

    enter: float
    leave: float
    hits: int
    within_ns: int
    gap_ns: int


@dataclass(slots=True)
class Episode:
    """A stretch of time in which a score is high, so far."""

    start_ns: int
    end_ns: int
    score: float
    """The best so far."""
    quiet: bool = False
    """Whether the score fell below `leave` at the end, and has not reached `enter` since."""


WatchMemory = tuple[tuple[tuple[int, float], ...], tuple[Any, ...] | None]


class Watch:
    """Watches one score, which stands for one stretch of time after the other.

    The rules of Silero VAD's `get_speech_timestamps` (silero-vad 6.2, utils_vad.py): a score of at
    least `enter` begins an episode, or ends a gap in it; one below `leave` begins a gap, or ends the
    episode where the gap began if that was `gap_ns` ago when the stretch of this score began; what
    is between changes nothing. Beside that, `hits` scores within `within_ns` may be asked for.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._hits: deque[tuple[int, float]] = deque(maxlen=rules.hits)
        """When the latest high scores began, and how high they were."""
        self.episode: Episode | None = None
        """The one that lasts."""

    def remember(self) -> WatchMemory:
        """The high scores of late, and the episode that lasts."""
        return tuple(self._hits), None if self.episode is None else astuple(self.episode)

    def recall(self, memory: WatchMemory) -> None:
        """Go on with that."""
        hits, episode = memory
        self._hits.extend(hits)
        self.episode = None if episode is None else Episode(*episode)

    def hear(self, score: float, begin_ns: int, end_ns: int) -> Episode | None:
        """Take the next score; the episode that is over with it."""
        rules, episode = self.rules, self.episode
        if episode is None:
            if score >= rules.enter:
                self._hit(score, begin_ns, end_ns)
            return None
        episode.score = max(episode.score, score)
        if score >= rules.enter:
            episode.quiet = False
        elif score < rules.leave:
            episode.quiet = True
            if begin_ns - episode.end_ns >= rules.gap_ns:
                self.episode = None
                return episode
        if not episode.quiet:
            episode.end_ns = max(episode.end_ns, end_ns)
        return None

    def _hit(self, score: float, begin_ns: int, end_ns: int) -> None:
        rules = self.rules
        self._hits.append((begin_ns, score))
        first_ns = self._hits[0][0]
        if len(self._hits) == rules.hits and (
            rules.hits == 1 or end_ns - first_ns <= rules.within_ns
        ):
            self.episode = Episode(first_ns, end_ns, max(score for _, score in self._hits))
            self._hits.clear()
