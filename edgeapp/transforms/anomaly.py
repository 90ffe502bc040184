"""How unusual features are, measured against what this machine did while learning."""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from pydantic import model_validator

from edgeapp.api import (
    BadPacket,
    Context,
    Continuity,
    Features,
    Field,
    Options,
    Packet,
    Score,
    transform,
)
from edgeapp.transforms._learned import Learned
from edgeapp.transforms._pca import LEAST_ROWS, Baseline

NS = 1_000_000_000
DEFAULT_LEARN_S = 3600.0

_CHECKPOINT_NS = 60 * NS
"""How much learning a power cut may cost; rarer writes spare the flash."""
_NAMED = 3
"""How many features are named as the reason."""


class AnomalyOptions(Options):
    """How long to learn, and how strict to be."""

    learn_s: float | None = Field(
        default=None,
        gt=0,
        description="How long to learn what is normal, in seconds of stream time (3600 if "
        "learn_windows is not given either). The machine should go through all its normal states.",
    )
    learn_windows: int | None = Field(
        default=None,
        ge=LEAST_ROWS,
        description="How many windows to learn from, instead of learn_s.",
    )
    variance: float = Field(
        default=0.9,
        gt=0,
        lt=1,
        description="How much of what varies is taken for the machine's normal behaviour, as a "
        "fraction; the rest is noise around it.",
    )
    quantile: float = Field(
        default=0.99,
        ge=0.5,
        le=1,
        description="Fraction of the learned windows that lies below 1.0; higher alarms less.",
    )
    relearn: str = Field(
        default="",
        description="Any text, such as a date: changing it forgets the baseline and learns anew, "
        "as is right after a repair.",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.learn_s is not None and self.learn_windows is not None:
            raise ValueError("give either learn_s or learn_windows, not both")
        return self

    def progress(self, learned: Learned) -> float:
        """How much of the learning is done, 0..1."""
        if self.learn_windows is not None:
            done = learned.windows / self.learn_windows
        else:
            learn_s = DEFAULT_LEARN_S if self.learn_s is None else self.learn_s
            done = learned.learned_ns / (learn_s * NS)
        return max(0.0, min(1.0, done, len(learned.rows) / LEAST_ROWS))


@transform("anomaly")
class Anomaly:
    """Score how unusual the machine is, against a baseline that was learned on this very machine.

    Learns first (`ready` False, `progress` 0..1), then scores each window: 1.0 is the edge of what
    was normal. The value is the root of the larger of two parts, each relative to its limit: `t2` (an unusual
    amount of what always varied) and `q` (a pattern that never occurred). Further parts name the
    features that contribute most to that, with their share of it.

    The baseline survives restarts, and so does half-finished learning (but for the last minute, if
    the power is cut). It is learned anew when `relearn` changes, when other features arrive, and
    when its file is damaged; each is logged.
    """

    def __init__(self, options: AnomalyOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._continuity = Continuity()
        self._last_ns = 0
        self._learned: Learned | None = None
        self._baseline: Baseline | None = None
        self._saved = True
        self._may_save_ns = 0
        self._complained = False

    @property
    def _file(self) -> Path:
        return self._context.state_dir / "baseline"

    def __enter__(self) -> Self:
        """Recall what was learned before."""
        self._may_save_ns = self._context.clock.now_ns() + _CHECKPOINT_NS
        log = self._context.log
        try:
            learned = Learned.load(self._file)
        except FileNotFoundError:
            return self
        except (OSError, ValueError) as error:
            log.warning("baseline cannot be read, learning again", because=str(error))
            return self
        if learned.token != self._options.relearn:
            log.info("learning again, as asked", relearn=self._options.relearn)
            return self
        self._learned = learned
        self._learn_from(learned)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what was learned since the last time."""
        if not self._saved:
            self._save()

    def process(self, packet: Packet[Features]) -> Score:
        """Learn from a window or score it."""
        features = packet.value
        if not np.isfinite(features.values).all():
            raise BadPacket("a feature is NaN or infinite", reason="not_finite")
        broken = self._continuity.broken(packet)
        lasted_ns = packet.span_ns if broken else max(0, packet.t_ns - self._last_ns)
        self._last_ns = packet.t_ns

        learned = self._same_features(features)
        if self._baseline is None:
            self._saved = False
            learned.add(features.values, lasted_ns)
            score = Score(0.0, ready=False, progress=self._options.progress(learned))
            self._learn_from(learned)
        else:
            score = self._score(features, self._baseline)
        if not self._saved and self._context.clock.now_ns() >= self._may_save_ns:
            self._save()
        return score

    def _same_features(self, features: Features) -> Learned:
        """What was learned of these features; nothing, if it was of others."""
        learned = self._learned
        if learned is not None:
            if (learned.names, learned.units) == (features.names, features.units):
                return learned
            self._context.log.warning(
                "features changed, learning again",
                new=sorted(set(features.names) - set(learned.names)),
                gone=sorted(set(learned.names) - set(features.names)),
            )
        self._baseline = None
        self._learned = Learned(features.names, features.units, self._options.relearn)
        return self._learned

    def _learn_from(self, learned: Learned) -> None:
        """Make the baseline, once enough was learned."""
        if self._options.progress(learned) < 1:
            return
        self._baseline = Baseline.learn(
            learned.table(), variance=self._options.variance, quantile=self._options.quantile
        )
        if self._saved:
            learned.rows.clear()
        else:
            self._save()

    def _score(self, features: Features, baseline: Baseline) -> Score:
        judgement = baseline.judge(features.values)
        parts = {"t2": judgement.t2, "q": judgement.q}
        for index in np.argsort(judgement.shares)[: -_NAMED - 1 : -1]:
            parts[features.names[index]] = float(judgement.shares[index])
        return Score(judgement.value, parts=parts)

    def _save(self) -> None:
        """Write what was learned; a failure is logged and tried again after a while."""
        assert self._learned is not None
        self._may_save_ns = self._context.clock.now_ns() + _CHECKPOINT_NS
        try:
            self._learned.save(self._file)
        except OSError as error:
            if not self._complained:
                self._context.log.warning("baseline cannot be stored", because=str(error))
            self._complained = True
            return
        self._saved, self._complained = True, False
        if self._baseline is not None:
            self._learned.rows.clear()  # the file has them
