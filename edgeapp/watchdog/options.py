"""The ways in which one pipeline can run, each with what it costs and what it is worth.

An option sets every model stage of the pipeline. Out of all combinations those remain that could
ever be the best choice: one that needs no less of anything than another, and is worth no more, is
left out. The choice of now stays whatever it is, so that staying is always possible, and so does
the cheapest. Everything adds up over the stages, so that leaving out is done stage by stage and a
pipeline of many model stages stays cheap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgeapp.core.dial import Setting
from edgeapp.watchdog.ladder import CLOSED, Ladder, StageKey, Tenant
from edgeapp.watchdog.tick import StageWork, Work

LANE_SHARE = 0.9
"""Of its time, what a lane (one thread) may be busy; beyond that queues grow."""
CLIMB_SHARE = 0.95
"""Of `LANE_SHARE` and the deadline, what a setting that takes longer than the one of now may use:
a rate that trembles about the limit would move the setting up and down."""
MOST_OPTIONS = 96
"""Of one pipeline. Beyond them the best one of each band of cores is kept."""
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run a pipeline."""

    settings: Mapping[StageKey, Setting]
    """Of each of its model stages; what they come back to where `paused`."""
    paused: bool
    cores: float
    """In use on average at the rates of now."""
    utility: float
    """Weighted: 0 to the weight of the pipeline."""
    memory_mb: float
    """Of the sessions that are loaded with it, standbys included."""
    swaps: int
    """Models that have to be changed or loaded to get there."""
    late: bool = False
    """Its answers come too late, and those of all others too: it is the least that can run."""
    now: bool = False
    """It is what runs, or is being put into effect."""


def options_of(
    tenant: Tenant,
    work: Work,
    *,
    rates: Mapping[StageKey, float],
    inflation: float = 1.0,
    stretch: float = 1.0,
    held: Mapping[StageKey, Setting] | None = None,
    paused_by_us: bool = False,
    obey_pins: bool = True,
    standbys: bool = True,
) -> tuple[Option, ...]:
    """Every sensible way to run a pipeline, the cheapest first; at least one.

    Args:
        tenant: The pipeline.
        work: What it did last.
        rates: Packets that are to be expected each second (`Rates.values`); a stage that is not in it is
            taken at the rate of its ladder.
        inflation: CPU time of a call over that at the full clock.
        stretch: Wall time of a call over its CPU time, for the neighbours' sake.
        held: What was wanted last, which counts as the choice of now although a stage may still be
            on its way there; where it says nothing, what the stage does.
        paused_by_us: The pipeline is paused by whoever asks, who may let it run again. Where it is
            paused and not by us, it stays so, and there is one option.
        obey_pins: A pinned stage has one choice, and its pipeline is not paused. False in an
            emergency.
        standbys: The next rung down is kept loaded beside each one in use.
    """
    stopped = tenant.name in work.paused
    if stopped and not paused_by_us:
        return (Option(_settings_now(tenant, work, held), True, 0.0, 0.0, 0.0, 0, now=True),)
    cold = stopped or paused_by_us
    found = [_Part((), tenant.base_cores * inflation, 0.0, 0.0, 0, late=False, now=not cold)]
    pinned = False
    for ladder in tenant.ladders:
        own = work.stages.get(ladder.key)
        stage = _Stage(
            ladder,
            rates.get(ladder.key, ladder.rate_hz),
            inflation,
            stretch,
            own.struck if own is not None else frozenset(),
            _now(ladder, own, held),
            cold=cold,
            standbys=standbys,
        )
        pin = own.pinned if obey_pins and own is not None else None
        pinned = pinned or pin is not None
        closable = not tenant.critical and ladder.may_divide
        parts = [stage.part(pin)] if pin is not None else stage.parts(closable=closable)
        found = _worth_keeping([one.beside(other) for one in found for other in parts])
    worth = tenant.weight / len(tenant.ladders) if tenant.ladders else tenant.weight
    keys = [ladder.key for ladder in tenant.ladders]
    options = [
        Option(
            dict(zip(keys, part.settings, strict=True)),
            paused=False,
            cores=part.cores,
            utility=part.utility * worth if keys else worth,
            memory_mb=part.memory_mb,
            swaps=part.swaps,
            late=part.late,
            now=part.now,
        )
        for part in found
    ]
    if not tenant.critical and (not pinned or cold):
        loads = 0 if cold else len(keys)
        at_rest = _settings_now(tenant, work, held)
        options.insert(0, Option(at_rest, True, 0.0, 0.0, 0.0, loads, now=cold))
    return tuple(options)


def warm_mb(ladder: Ladder, rung: int, *, struck: frozenset[int], standbys: bool) -> float:
    """MB of the sessions that are loaded while a stage is on a rung: its own, and the one below."""
    below = (
        lower.memory_mb
        for index, lower in enumerate(ladder.rungs)
        if index > rung and index not in struck
    )
    return ladder.rungs[rung].memory_mb + (next(below, 0.0) if standbys else 0.0)


@dataclass(frozen=True, slots=True)
class _Part:
    """Choices for the first few stages of a pipeline, or for one."""

    settings: tuple[Setting, ...]
    cores: float
    utility: float
    memory_mb: float
    swaps: int
    late: bool
    now: bool

    def beside(self, other: "_Part") -> "_Part":
        return _Part(
            self.settings + other.settings,
            self.cores + other.cores,
            self.utility + other.utility,
            self.memory_mb + other.memory_mb,
            self.swaps + other.swaps,
            self.late or other.late,
            self.now and other.now,
        )


@dataclass(frozen=True, slots=True)
class _Stage:
    """One model stage at one tick."""

    ladder: Ladder
    rate_hz: float
    inflation: float
    stretch: float
    struck: frozenset[int]
    now: Setting | None
    cold: bool
    standbys: bool

    def parts(self, *, closable: bool) -> list[_Part]:
        """What is worth trying; where nothing is in time, the least that can run, marked as late."""
        rungs = [rung for rung in range(len(self.ladder.rungs)) if rung not in self.struck]
        if not rungs:  # what answered last still does, if anything does
            rungs = [self.now.rung if self.now is not None else len(self.ladder.rungs) - 1]
        running = [Setting(rung, by) for rung in rungs for by in self.ladder.divisors]
        # What a person pinned before may be on no list.
        if self.now is not None and self.now.divisor != CLOSED and self.now not in running:
            running += [self.now] if self.now.rung in rungs else []
        parts = [self.part(setting) for setting in running if self._in_time(setting)]
        if not parts:
            least = min(running, key=lambda setting: (self._load(setting), self._wall_s(setting)))
            parts = [replace(self.part(least), late=True)]
        if closable:
            rung = self.now.rung if self.now is not None and self.now.rung in rungs else rungs[-1]
            parts.append(self.part(Setting(rung, CLOSED)))
        return _worth_keeping(parts)

    def part(self, setting: Setting) -> _Part:
        """What a setting costs and is worth."""
        now = self.now
        loads = self.cold or (now is not None and now.rung != setting.rung)
        return _Part(
            (setting,),
            self._load(setting) * self.inflation,
            self.ladder.utility(setting),
            warm_mb(self.ladder, setting.rung, struck=self.struck, standbys=self.standbys),
            int(loads),
            late=False,
            now=setting == now and not self.cold,
        )

    def _load(self, setting: Setting) -> float:
        """Cores at the full clock."""
        if setting.divisor == CLOSED:
            return 0.0
        return self.rate_hz / setting.divisor * self.ladder.rungs[setting.rung].cpu_s

    def _wall_s(self, setting: Setting) -> float:
        return self.ladder.rungs[setting.rung].wall_s * self.inflation * self.stretch

    def _in_time(self, setting: Setting) -> bool:
        """Whether the lane keeps up and answers are young enough."""
        slower = self.inflation * self.stretch
        wall_s, lane = self._wall_s(setting), self._load(setting) * slower
        if self.now is None or self.cold:
            share = 1.0
        else:
            held_s, held_lane = self._wall_s(self.now), self._load(self.now) * slower
            share = CLIMB_SHARE if lane > held_lane or wall_s > held_s else 1.0
        if lane > LANE_SHARE * share:
            return False
        return self.ladder.deadline_s is None or wall_s <= self.ladder.deadline_s * share


def _now(
    ladder: Ladder, own: StageWork | None, held: Mapping[StageKey, Setting] | None
) -> Setting | None:
    """What a stage does or was told to do; None: nothing yet."""
    wanted = None if held is None else held.get(ladder.key)
    if wanted is not None and not ladder.may_divide:
        wanted = Setting(wanted.rung)  # it was another ladder when this was wanted
    if wanted is not None and (own is None or wanted.rung not in own.struck):
        return wanted if wanted.rung < len(ladder.rungs) else None
    if own is not None and own.actual.rung < len(ladder.rungs):
        return own.actual
    return None


def _settings_now(
    tenant: Tenant, work: Work, held: Mapping[StageKey, Setting] | None
) -> dict[StageKey, Setting]:
    """What its stages do or would do: the last rung where nothing is known."""
    settings = {}
    for ladder in tenant.ladders:
        now = _now(ladder, work.stages.get(ladder.key), held)
        settings[ladder.key] = now or Setting(len(ladder.rungs) - 1)
    return settings


def _worth_keeping(parts: Sequence[_Part]) -> list[_Part]:
    """Without those that another one is as good as in everything; the cheapest first."""
    ranked = sorted(parts, key=lambda p: (p.cores, -p.utility, p.swaps, p.memory_mb, not p.now))
    kept: list[_Part] = []
    for part in ranked:
        if part.now or not any(_covers(other, part) for other in kept):
            kept.append(part)
    return kept if len(kept) <= MOST_OPTIONS else _thinned(kept)


def _covers(one: _Part, other: _Part) -> bool:
    """Whether `one`, which needs no more cores, is as good as the other in all else."""
    return (
        one.utility >= other.utility - _SAME
        and one.swaps <= other.swaps
        and one.memory_mb <= other.memory_mb + _SAME
        and one.late <= other.late
    )


def _thinned(parts: Sequence[_Part]) -> list[_Part]:
    """The cheapest, what is now, and out of each band of cores the most useful."""
    least, most = parts[0].cores, parts[-1].cores
    width = (most - least) / (MOST_OPTIONS - 2) or 1.0
    bands: dict[int, _Part] = {}
    for part in parts:
        band = int((part.cores - least) / width)
        best = bands.get(band)
        if best is None or (part.utility, -part.swaps) > (best.utility, -best.swaps):
            bands[band] = part
    kept = {id(part): part for part in (*bands.values(), parts[0])}
    return [part for part in parts if part.now or id(part) in kept]
