"""How hot the die will be: two nodes, learned while it runs.

The board settles where its surroundings and the load put it, the die follows the load within
seconds on top of the board::

    board' = (offset + gain * cores - board) / tau        minutes
    die    = board + die_gain * (cores filtered by die_tau)   seconds

A Kalman filter follows six numbers: board temperature, offset (surroundings, idle power, sun), its
trend, gain, die gain and the logarithm of tau; all but the last enter linearly, so that its
corrections are nearly exact (extended Kalman filter: Jazwinski, Stochastic Processes and Filtering
Theory, 1970). What is forecast is linear in the load, hence the greatest bearable load has a closed
form. How uncertain it says it is, is corrected by `Hindsight`.

A sum of normalised innovations (CUSUM: Page, Biometrika 41, 1954) tells a sudden change, such as a
door, the sun or a fan, from noise; the filter then doubts what it had learned and learns anew.

Plain numbers in lists: for six of them an array costs more to make than to calculate with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log, sqrt

from edgeapp.watchdog.hindsight import HORIZONS_S, Hindsight, Line, State
from edgeapp.watchdog.limits import Prior

SENSOR_NOISE_C = 0.5
"""Standard deviation of a sensor of which nothing else is known; its steps are part of it."""
BLIND_C_PER_S = 0.02
"""How fast the doubt grows while no sensor can be read."""
BLIND_MOST_C = 12.0

_BOARD, _OFFSET, _GAIN, _DIE, _TAU, _TREND = range(6)
_N = 6

_FIRST_SD = (3.0, 12.0, 0.3, 0.3, 0.25, 0.002)
"""What is believed at the start; of gain and die gain relative to the prior, of tau logarithmic."""
_WALK_SD = (0.02, 0.03, 0.0008, 0.0005, 0.0005, 0.00008)
"""How far each wanders in a second, in the same units."""
_SURPRISE_SD = (0.5, 6.0, 0.15, 0.03, 0.1, 0.0)
"""What is doubted more after a surprise."""
_MOST_SD = (30.0, 30.0, 0.35, 0.35, 0.35, 0.005)
_TREND_S = 1800.0
"""A trend that is not seen to go on fades."""
_BOUNDS = {_GAIN: (0.5, 2.0), _DIE: (0.3, 3.0), _TAU: (0.5, 2.0)}
"""How far from the prior a learned number may go, as factors."""

_CUSUM_SLACK = 0.7
_CUSUM_ALARM = 9.0
_SURPRISED_S = 60.0
_JUMP_SD = 6.0
_JUMPS = 3
"""Readings in a row that are far off before they are believed: one may be an outlier."""
_LONG_GAP_S = 30.0
"""From here on the mean load of a tick says little of when it was there."""
_BLIND_AFTER_S = 5.0
_USUAL_S = 60.0
_STEP_CORES = 0.15
"""The die gain is learned only while the load is so far from that of the last minute: otherwise slow
nodes of which this model knows nothing would be taken for it."""
_STEP_DOUBT = 0.15
"""Of the die's rise that is still to come: how wrong its time constant may be."""
_MOST_CORES = 256.0
_LEAST_SD_C = 0.15
_UNLIKE = 0.09
"""Of what a change of load does: how wrong a model of two nodes is about it at best."""
_NOISE_C = (0.05, 20.0)
_SANE_C = (-150.0, 300.0)
_PLAUSIBLE_C = (-60.0, 160.0)
_FOREVER_S = 24 * 3600.0
_TIMES_S = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 3600.0)
"""At which it is looked whether a limit will have been reached."""
_SURELY_K = 1e-6
_LEAST_VARIANCE = 1e-9
_MOST_LINES = 32


@dataclass(frozen=True, slots=True)
class Forecast:
    """Temperature of the die at some time from now."""

    die_c: float
    sigma_c: float
    """Standard deviation: the truth is within twice of it nineteen times in twenty."""


class ThermalModel:
    """Learns a device while it runs, from the fused die temperature and the load. One thread."""

    def __init__(self, prior: Prior) -> None:
        self.prior = prior
        self.surprises = 0
        """Sudden changes noticed so far."""
        gains = prior.board_k_per_core, prior.die_k_per_core
        units = 1.0, 1.0, *gains, 1.0, 1.0
        self._walk = _variances(_WALK_SD, units)
        self._most = _variances(_MOST_SD, units)
        self._surprise = _variances(_SURPRISE_SD, units)
        offset = prior.ambient_c + prior.idle_k
        self._x = [offset, offset, *gains, log(prior.board_tau_s), 0.0]
        self._p = _diagonal(_variances(_FIRST_SD, units))
        """Covariances, a row for each number."""
        self._p[_BOARD][_BOARD] = _FIRST_SD[_OFFSET] ** 2
        self._bounds = {
            i: (base * low, base * high) if i != _TAU else (log(base * low), log(base * high))
            for i, base, (low, high) in (
                (_GAIN, prior.board_k_per_core, _BOUNDS[_GAIN]),
                (_DIE, prior.die_k_per_core, _BOUNDS[_DIE]),
                (_TAU, prior.board_tau_s, _BOUNDS[_TAU]),
            )
        }
        self._cores = 0.0
        self._filtered = 0.0
        self._t_s: float | None = None
        self._seen = False
        self._blind_s = 0.0
        self._high = self._low = 0.0
        self._jumps = 0
        self._surprised_s = inf
        self._usual_cores = 0.0
        self._hindsight = Hindsight()
        self._lines: dict[float, Line] = {}
        """What is forecast, by horizon: the same until the next tick."""

    def observe(
        self, t_s: float, cores: float, die_c: float | None, *, noise_c: float = SENSOR_NOISE_C
    ) -> None:
        """Take in what a tick showed; ticks may be late, or minutes apart.

        Time that does not go on is no tick. A load or temperature that is no number counts as
        not read.

        Args:
            t_s: Monotonic time.
            cores: Busy cores since the tick before, times the clock they really ran at over the
                greatest.
            die_c: Fused temperature of the die; None: no sensor can be trusted.
            noise_c: Standard deviation of that temperature.
        """
        if not isfinite(t_s) or (self._t_s is not None and t_s <= self._t_s):
            return
        if isfinite(cores):
            self._cores = min(max(cores, 0.0), _MOST_CORES)
        if self._t_s is None:
            self._filtered = self._usual_cores = self._cores
        else:
            self._advance(t_s - self._t_s)
        self._t_s = t_s
        self._lines.clear()
        if die_c is not None and _PLAUSIBLE_C[0] < die_c < _PLAUSIBLE_C[1]:
            if not (isfinite(noise_c) and noise_c > 0):
                noise_c = SENSOR_NOISE_C
            self._correct(die_c, min(max(noise_c, _NOISE_C[0]), _NOISE_C[1]))
        self._look_back()

    def forecast(self, cores: float, horizon_s: float) -> Forecast:
        """What the die will have if the whole device is busy with so many cores from now on."""
        horizon_s = max(0.0, horizon_s)
        mean, sigma = self._line(horizon_s).at(cores)
        return Forecast(mean, sigma * self._hindsight.stretch(horizon_s) + self._pessimism_c)

    def expect(self, cores: float, horizon_s: float) -> float:
        """The temperature that `forecast` tells, without its uncertainty, for a part of its cost."""
        mean0, mean1 = self._means(max(0.0, horizon_s))
        return mean0 + mean1 * cores

    def cores_at(self, limit_c: float, horizon_s: float, *, sigmas: float = 1.0) -> float:
        """The greatest constant load of the whole device that keeps the die below a limit.

        Heat that is there already may be too much: then it is negative.

        Args:
            limit_c: What forecast + `sigmas` * its sigma may not exceed.
            horizon_s: When, from now; greater than 0.
            sigmas: How sure it shall be; 0 asks for the mean.
        """
        h = max(1.0, horizon_s)
        if sigmas > 0:
            line = self._line(h)
            k = sigmas * self._hindsight.stretch(h)
        else:
            line, k = Line(*self._means(h), 0.0, 0.0, 0.0), 0.0
        room = limit_c - max(0.0, sigmas) * self._pessimism_c - line.mean0
        # room - mean1 u = k sqrt(a + 2 b u + c u²), squared; mean1 > k sqrt(c) makes it unique.
        shrink = min(1.0, 0.8 * line.mean1 / (k * sqrt(line.c))) if k * line.c > 0 else 1.0
        b, c = k * k * line.b * shrink, k * k * line.c * shrink * shrink
        alpha = line.mean1 * line.mean1 - c
        beta = room * line.mean1 + b
        gamma = room * room - k * k * line.a
        return (beta - sqrt(max(0.0, beta * beta - alpha * gamma))) / alpha

    def time_to(self, limit_c: float, cores: float) -> float | None:
        """When the die is expected to reach a limit under a constant load, in seconds from now.

        None: it will not, within an hour.
        """
        board, offset, gain, die, log_tau, trend = self._x
        tau, die_tau, filtered = exp(log_tau), self.prior.die_tau_s, self._filtered
        settled = offset + gain * cores
        most_drift = max(0.0, trend) * _arrived(_TIMES_S[-1], tau, 0.0)
        if max(board, settled) + most_drift + die * max(cores, filtered) < limit_c - _SURELY_K:
            return None

        def mean(horizon_s: float) -> float:
            e, fast = exp(-horizon_s / tau), exp(-horizon_s / die_tau)
            warm = e * board + (1 - e) * settled + trend * _arrived(horizon_s, tau, e)
            return warm + die * (cores + (filtered - cores) * fast)

        before = 0.0
        for after in _TIMES_S:
            if mean(after) >= limit_c:
                break
            before = after
        else:
            return None
        while after - before > 0.5:  # noqa: PLR2004 - seconds: finer than anybody needs
            middle = (before + after) / 2
            if mean(middle) >= limit_c:
                after = middle
            else:
                before = middle
        return after

    @property
    def die_c(self) -> float:
        """What the die is believed to have now, smoother than any sensor."""
        return self._x[_BOARD] + self._x[_DIE] * self._filtered

    @property
    def board_c(self) -> float:
        """What the board is believed to have now."""
        return self._x[_BOARD]

    @property
    def ambient_c(self) -> float:
        """What the surroundings seem to have, with the sun and whatever else heats in them."""
        return self._x[_OFFSET] - self.prior.idle_k

    @property
    def gain(self) -> float:
        """What a busy core adds to the board in the end, in kelvin."""
        return self._x[_GAIN]

    @property
    def surprised(self) -> bool:
        """Whether something changed all of a sudden within the last minute."""
        return self._surprised_s < _SURPRISED_S

    @property
    def blind_s(self) -> float:
        """Since when no temperature was told."""
        return self._blind_s

    def facts(self) -> Mapping[str, float]:
        """The state, for whoever wants to look."""
        now = self.forecast(self._cores, 0.0)
        return {
            "model_die_c": now.die_c,
            "sigma_c": now.sigma_c,
            "board_c": self.board_c,
            "ambient_c": self.ambient_c,
            "gain_k_per_core": self.gain,
            "die_gain_k_per_core": self._x[_DIE],
            "tau_s": exp(self._x[_TAU]),
            "blind_s": self._blind_s,
            "stretch_30s": self._hindsight.stretch(30.0),
            "stretch_300s": self._hindsight.stretch(300.0),
            "surprises": float(self.surprises),
        }

    @property
    def _pessimism_c(self) -> float:
        return min(BLIND_MOST_C, BLIND_C_PER_S * max(0.0, self._blind_s - _BLIND_AFTER_S))

    def _advance(self, dt: float) -> None:
        """Let time pass under the load of this tick."""
        dt = min(dt, _FOREVER_S)
        x, u = self._x, self._cores
        board, offset, gain, _, log_tau, trend = x
        tau = exp(log_tau)
        e = exp(-dt / tau)
        rise = offset + gain * u - board
        fade, drift = exp(-dt / _TREND_S), min(dt, _LONG_GAP_S)
        x[_BOARD] += (1 - e) * rise
        x[_OFFSET] += drift * trend
        x[_TREND] *= fade
        # How the new numbers follow from the old ones; what is left out follows from itself alone.
        by_offset, by_gain, by_tau = 1 - e, (1 - e) * u, -e * (dt / tau) * rise
        p = self._p
        boards, offsets, gains, _, taus, trends = p
        p[_BOARD] = [
            e * b + by_offset * o + by_gain * g + by_tau * t
            for b, o, g, t in zip(boards, offsets, gains, taus, strict=True)
        ]
        p[_OFFSET] = [o + drift * t for o, t in zip(offsets, trends, strict=True)]
        p[_TREND] = [fade * t for t in trends]
        for row in p:
            b, o, g, _, t, drifting = row
            row[_BOARD] = e * b + by_offset * o + by_gain * g + by_tau * t
            row[_OFFSET] = o + drift * drifting
            row[_TREND] = fade * drifting
        self._widen([wander * dt for wander in self._walk])
        if dt > _LONG_GAP_S:
            p[_BOARD][_BOARD] += ((1 - e) * gain) ** 2
            p[_OFFSET][_OFFSET] += min(dt / 100.0, 6.0) ** 2
        self._filtered += (u - self._filtered) * (1 - exp(-dt / self.prior.die_tau_s))
        self._usual_cores += (u - self._usual_cores) * (1 - exp(-dt / _USUAL_S))
        self._hindsight.advance(dt, u)
        self._blind_s += dt
        self._surprised_s += dt

    def _correct(self, die_c: float, noise_c: float) -> None:
        """Learn from a temperature."""
        if not self._seen:
            self._seen = True
            self._x[_BOARD] = die_c - self._x[_DIE] * self._filtered
            self._p[_BOARD][_BOARD] = _FIRST_SD[_BOARD] ** 2
            self._blind_s = 0.0
            return
        x, p, uf = self._x, self._p, self._filtered
        ph = [row[_BOARD] + uf * row[_DIE] for row in p]
        coming = _STEP_DOUBT * x[_DIE] * (self._cores - uf)
        known = ph[_BOARD] + uf * ph[_DIE]
        if known <= 0:  # rounding has eaten it up: begin anew from what each number is doubted
            self._p = _diagonal([max(row[i], _LEAST_VARIANCE) for i, row in enumerate(p)])
            return
        s = known + noise_c * noise_c + coming * coming
        innovation = die_c - x[_BOARD] - x[_DIE] * uf
        score = innovation / sqrt(s)
        if abs(score) > _JUMP_SD:
            self._jumps += 1
            if self._jumps < _JUMPS:
                return
            self._doubt(board_sd=abs(innovation))
            self._jumps = 0
            self._correct(die_c, noise_c)
            return
        self._jumps = 0
        self._blind_s = 0.0
        gains = [covariance / s for covariance in ph]
        if abs(uf - self._usual_cores) < _STEP_CORES:
            gains[_DIE] = 0.0
        for i, gain in enumerate(gains):
            x[i] += gain * innovation
        # The form that holds for any gain, not only for the best one.
        over = [s * gain - covariance for gain, covariance in zip(gains, ph, strict=True)]
        for row, k, h in zip(p, gains, ph, strict=True):
            row[:] = [
                before + (k * o - h * gain)
                for before, o, gain in zip(row, over, gains, strict=True)
            ]
        self._bound()
        self._high = max(0.0, self._high + score - _CUSUM_SLACK)
        self._low = max(0.0, self._low - score - _CUSUM_SLACK)
        if self._high > _CUSUM_ALARM or self._low > _CUSUM_ALARM:
            self._doubt()

    def _look_back(self) -> None:
        """Hold old forecasts against what came, and set new ones aside."""
        if self._blind_s > _BLIND_AFTER_S or not self._seen:
            self._hindsight.forget()
            return
        self._hindsight.check(self.die_c)
        for i in self._hindsight.due():
            board, offset, gain, die, log_tau, trend = self._x
            taus = exp(log_tau), self.prior.die_tau_s
            state = State(board, self._filtered, offset, trend, gain, die, *taus)
            self._hindsight.set_aside(i, state, self._line(HORIZONS_S[i]))

    def _doubt(self, board_sd: float = 0.0) -> None:
        """Something changed: what was learned of the surroundings may hold no longer."""
        self.surprises += 1
        self._surprised_s = 0.0
        self._high = self._low = 0.0
        self._hindsight.forget()
        self._widen(self._surprise)
        self._p[_BOARD][_BOARD] += board_sd * board_sd

    def _widen(self, more: Sequence[float]) -> None:
        """Doubt each number more, up to what is sensible."""
        for i, row in enumerate(self._p):
            room = self._most[i] - row[i]
            if room > 0:
                row[i] += min(more[i], room)

    def _bound(self) -> None:
        """Keep what was learned near the prior; what depends on it follows."""
        x, p = self._x, self._p
        for i, (least, most) in self._bounds.items():
            if not least <= x[i] <= most:
                bounded = min(max(x[i], least), most)
                share = (bounded - x[i]) / max(p[i][i], _LEAST_VARIANCE)
                for j, row in enumerate(p):
                    # One correction may carry another number away.
                    low, high = self._bounds.get(j, _SANE_C)
                    x[j] = max(min(x[j] + row[i] * share, high), low)

    def _line(self, h: float) -> Line:
        """What is forecast in `h` seconds, as a function of the load."""
        line = self._lines.get(h)
        if line is None:
            if len(self._lines) >= _MOST_LINES:
                self._lines.clear()
            self._lines[h] = line = self._line_anew(h)
        return line

    def _means(self, h: float) -> tuple[float, float]:
        """The mean0 and mean1 of what is forecast in `h` seconds."""
        board, offset, gain, die, log_tau, trend = self._x
        tau = exp(log_tau)
        e = exp(-h / tau)
        fast = exp(-h / self.prior.die_tau_s)
        slow, die0 = 1 - e, self._filtered * fast
        mean0 = e * board + slow * offset + die * die0 + _arrived(h, tau, e) * trend
        return mean0, slow * gain + die * (1 - fast)

    def _line_anew(self, h: float) -> Line:
        board, offset, gain, _, log_tau, _ = self._x
        tau = exp(log_tau)
        e = exp(-h / tau)
        fast = exp(-h / self.prior.die_tau_s)
        bend = e * h / tau
        arrived = _arrived(h, tau, e)
        mean0, mean1 = self._means(h)
        # By how much each number counts in mean0 and in mean1; what is left out does not.
        slow, swift = 1 - e, 1 - fast
        die0, tau0, tau1 = self._filtered * fast, bend * (board - offset), -bend * gain
        # Variance of mean0, covariance, variance of mean1; the letters are those of the numbers.
        (bb, bo, bg, bd, bt, br), (_, oo, og, od, ot, o_r), third, fourth, fifth, last = self._p
        (gg, gd, gt, gr), (dd, dt, dr), (tt, tr), rr = third[2:], fourth[3:], fifth[4:], last[5]
        on_board = e * bb + slow * bo + die0 * bd + tau0 * bt + arrived * br
        on_offset = e * bo + slow * oo + die0 * od + tau0 * ot + arrived * o_r
        on_gain = e * bg + slow * og + die0 * gd + tau0 * gt + arrived * gr
        on_die = e * bd + slow * od + die0 * dd + tau0 * dt + arrived * dr
        on_tau = e * bt + slow * ot + die0 * dt + tau0 * tt + arrived * tr
        on_trend = e * br + slow * o_r + die0 * dr + tau0 * tr + arrived * rr
        a = e * on_board + slow * on_offset + die0 * on_die + tau0 * on_tau + arrived * on_trend
        b = slow * on_gain + swift * on_die + tau1 * on_tau
        c = (
            slow * (slow * gg + 2 * (swift * gd + tau1 * gt))
            + swift * (swift * dd + 2 * tau1 * dt)
            + tau1 * tau1 * tt
        )
        # The offset goes on wandering: the integral of (1 - exp(-s/tau))² over the horizon.
        wander = h - 2 * tau * (1 - e) + tau / 2 * (1 - e * e)
        a += self._walk[_OFFSET] * wander + self._walk[_BOARD] * tau / 2 * (1 - e * e)
        # What two nodes are not: always a little, and more for loads that are far from the usual.
        far = (_UNLIKE * mean1) ** 2
        a += _LEAST_SD_C**2 + far * self._usual_cores**2
        return Line(mean0, mean1, a, b - far * self._usual_cores, c + far)


def _variances(deviations: Sequence[float], units: Sequence[float]) -> list[float]:
    return [(sd * unit) ** 2 for sd, unit in zip(deviations, units, strict=True)]


def _diagonal(values: Sequence[float]) -> list[list[float]]:
    return [[value if i == j else 0.0 for j in range(_N)] for i, value in enumerate(values)]


def _arrived(horizon_s: float, tau: float, e: float) -> float:
    """For how long a trend that fades has acted on the board at the horizon."""
    return max(0.0, _TREND_S * (1 - exp(-horizon_s / _TREND_S)) - tau * (1 - e))
