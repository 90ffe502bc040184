"""Whether a machine vibrates more than it should, by the zones of ISO 20816 and ISO 10816."""

from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

import numpy as np

from edgeapp.api import (
    At,
    BadPacket,
    Context,
    Event,
    Packet,
    Phase,
    Run,
    Signal,
    event_id,
    transform,
)
from edgeapp.transforms import _spectral
from edgeapp.transforms._alarm_store import Alarm, AlarmStore
from edgeapp.transforms._bands import ACCELERATION, Velocity
from edgeapp.transforms._iso20816 import ZONES
from edgeapp.transforms._speed_topic import SpeedTopic
from edgeapp.transforms._steady import SteadyLevel
from edgeapp.transforms._tacho import speed_rpm
from edgeapp.transforms.machine_health_options import MachineHealthOptions

NS = 1_000_000_000
_STOPPED_BELOW = 0.9
"""Fraction of the speed at which a machine counts as running, below which it has stopped."""

Facts = dict[str, float | str | bool]


@transform("machine_health")
class MachineHealth:
    """Judge a machine by its vibration velocity: zones A to D of ISO 20816-3, and alarms that latch.

    Reads windows of acceleration in m/s²; of several channels the highest counts. Gives events of
    two kinds, and nothing while nothing changes:

    - "zone": one for each zone that the machine is in, from when it has settled there until it
      leaves it, is stopped, or the stream ends.
    - "alarm": from when the zone is `alarm_zone` or worse; `update` when it gets worse (then it is
      to be acknowledged again), is acknowledged, or is over but not acknowledged; `end` when it is over and, if it latches,
      acknowledged. At the end of the stream it ends too (fact `over` False), and a latched one
      begins again with the next stream, under its old number (fact `alarm`).

    Every event names the standard's edition, the sort of machine and the limits. The window that
    raised an alarm is kept in the stage's state directory, and named in the fact `window`.

    Only the velocity is judged, not the displacement that the standards also limit for slow
    machines, nor the change of it; and not while the machine warms up or stands still, nor while its
    speed is to come from a topic and does not: then an alarm stays as it is.
    """

    def __init__(self, options: MachineHealthOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._machine = options.machine or context.pipeline
        self._limits = options.limits()
        self._steady = SteadyLevel(self._limits.mm_s)
        self.tune(options)
        self._store = AlarmStore(context.state_dir, options.keep_windows)
        self._speed_topic = _speed_topic(options, context)
        self._complained = False
        self._newest = 0
        self._alarm: Alarm | None = None
        self._run = Run()
        self._last_ns = 0
        self._running_since_ns: int | None = None
        self._velocity: tuple[tuple[float, int], Velocity] | None = None
        self._zone_event: Event | None = None
        self._alarm_event: Event | None = None
        self._alarm_told: Facts = {}
        self._measured: Facts = {}

    def tune(self, options: MachineHealthOptions) -> None:
        """Other times or another alarm zone, from the next window on; an alarm that is on stays."""
        self._alarm_level = ZONES.index(options.alarm_zone)
        self._steady.hold(
            slack=options.hysteresis,
            rise_ns=round(options.for_s * NS),
            fall_ns=round(options.clear_s * NS),
        )

    def __enter__(self) -> Self:
        """Recall an alarm that was not acknowledged."""
        try:
            self._newest, self._alarm = self._store.load()
        except (OSError, ValueError) as error:
            self._context.log.warning("alarms cannot be recalled", because=str(error))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is left to do: what is to be recalled is on disk."""

    def remember(self) -> dict[str, Any]:
        """The zone, the alarm, and what was told of them."""
        return {
            "run": self._run.remember(),
            "steady": self._steady.remember(),
            "speed": None if self._speed_topic is None else self._speed_topic.remember(),
            "newest": self._newest,
            "alarm": None if self._alarm is None else asdict(self._alarm),
            "last_ns": self._last_ns,
            "running_since_ns": self._running_since_ns,
            "zone_event": self._zone_event,
            "alarm_event": self._alarm_event,
            "alarm_told": self._alarm_told,
            "measured": self._measured,
        }

    def recall(self, memory: dict[str, Any]) -> None:
        """Judge on from there after a reload."""
        self._run.recall(memory["run"])
        self._steady.recall(memory["steady"])
        if self._speed_topic is not None:
            self._speed_topic.recall(memory["speed"])
        self._newest = memory["newest"]
        self._alarm = None if memory["alarm"] is None else Alarm(**memory["alarm"])
        self._last_ns = memory["last_ns"]
        self._running_since_ns = memory["running_since_ns"]
        self._zone_event = memory["zone_event"]
        self._alarm_event = memory["alarm_event"]
        self._alarm_told = memory["alarm_told"]
        self._measured = memory["measured"]

    def acknowledge(self) -> str:
        """Say that somebody has seen the alarm; it ends once it is over. Tells what that did."""
        alarm = self._alarm
        if alarm is None:
            return f"{self._machine}: there is no alarm to acknowledge"
        if alarm.acknowledged:
            return f"{self._machine}: alarm {alarm.number} is acknowledged already"
        alarm.acknowledged = True
        self._save()
        self._context.log.info("alarm acknowledged", alarm=alarm.number)
        return f"{self._machine}: alarm {alarm.number} (zone {alarm.zone}) is acknowledged"

    def process(self, packet: Packet[Signal]) -> list[Event | At[Event]]:
        """What changed with this window."""
        signal = packet.value
        speed = self._speed(signal)
        channel, mm_s = self._worst(signal)
        events: list[Event | At[Event]] = []
        if self._run.began(packet):
            events += [At(event, self._last_ns) for event in self.flush()]
            self._running_since_ns = None
        self._last_ns = packet.t_ns
        self._measured = {"velocity_mm_s": round(mm_s, 4), "channel": channel}
        if speed is not None:
            self._measured["speed_rpm"] = round(speed, 2)

        running = self._running(speed, packet)
        if not running:
            self._steady.forget()
            events += self._end_zone()
        elif self._steady.see(mm_s, packet.t_ns):
            events += self._end_zone()
            self._zone_event = self._event("new", "zone", {"zone": self._zone})
            events.append(self._zone_event)
        events += self._alarms(signal, channel, mm_s, standing=running is None)
        return events

    def flush(self) -> list[Event]:
        """End what is open: the stream ends, or another one begins."""
        events = self._end_zone()
        if self._alarm_event is not None:
            events.append(self._alarm_ended(over=False))
        self._steady.forget()
        return events

    # -- measuring --------------------------------------------------------------------------

    def _worst(self, signal: Signal) -> tuple[str, float]:
        """The channel that vibrates most, and its velocity in mm/s."""
        tacho = self._options.tacho_channel
        chosen = [
            index
            for index, unit in enumerate(signal.units)
            if unit == ACCELERATION and signal.channels[index] != tacho
        ]
        if not chosen:
            raise BadPacket(
                f"none of the channels {', '.join(signal.channels)} is an acceleration in "
                f"{ACCELERATION}: give the source its unit and sensitivity",
                reason="no_acceleration",
            )
        samples = signal.samples[chosen].astype(np.float64)
        count = samples.shape[1]
        form = (signal.rate_hz, count)
        if self._velocity is None or self._velocity[0] != form:
            self._velocity = (form, Velocity.of(*form, self._options.low_hz))
        samples -= samples.mean(axis=1, keepdims=True)
        power = _spectral.power(_spectral.hann_rfft(samples), count)
        found = self._velocity[1].rms(power)
        if not np.isfinite(found).all():
            raise BadPacket("a window holds NaN or infinity", reason="not_finite")
        worst = int(found.argmax())
        return signal.channels[chosen[worst]], float(found[worst])

    def _speed(self, signal: Signal) -> float | None:
        """In turns per minute; None where nobody says."""
        if self._speed_topic is not None:
            return self._speed_topic.rpm()
        tacho = self._options.tacho_channel
        if tacho is None:
            return self._options.speed_rpm
        if tacho not in signal.channels:
            raise BadPacket(
                f"there is no channel '{tacho}' for the tacho; there are "
                f"{', '.join(signal.channels)}",
                reason="no_tacho",
            )
        pulses = signal.samples[signal.channels.index(tacho)]
        return speed_rpm(pulses, signal.rate_hz, self._options.pulses_per_rev)

    def _running(self, speed: float | None, packet: Packet[Signal]) -> bool | None:
        """Whether the machine is to be judged; None while it stands.

        False while it warms up, and while its speed is not known.
        """
        options = self._options
        if options.measures_speed and speed is None:
            self._running_since_ns = None
            return False
        least = options.running_rpm
        if self._running_since_ns is not None:
            least *= _STOPPED_BELOW
        if options.measures_speed and speed is not None and speed < least:
            self._running_since_ns = None
            return None
        if self._running_since_ns is None:
            self._running_since_ns = packet.t_ns - packet.span_ns
        return packet.t_ns - self._running_since_ns >= options.warm_up_s * NS

    # -- events -----------------------------------------------------------------------------

    @property
    def _zone(self) -> str:
        assert self._steady.level is not None
        return ZONES[self._steady.level]

    def _event(self, phase: Phase, kind: str, facts: Facts, of: Event | None = None) -> Event:
        return Event(
            phase,
            event_id(self._context.id, self._context.random) if of is None else of.event,
            kind,
            self._machine,
            self._last_ns if of is None else of.began_ns,
            facts={
                **facts,
                **self._measured,
                "standard": self._limits.edition,
                "group": self._limits.machine,
                "limits_mm_s": str(self._limits),
            },
        )

    def _end_zone(self) -> list[Event]:
        event, self._zone_event = self._zone_event, None
        if event is None:
            return []
        return [self._event("end", "zone", {"zone": event.facts["zone"]}, event)]

    def _alarms(self, signal: Signal, channel: str, mm_s: float, *, standing: bool) -> list[Event]:
        """Raise, change and end the alarm."""
        level = self._steady.level
        high = level is not None and level >= self._alarm_level
        over = standing or (level is not None and not high)
        alarm = self._alarm
        if high:
            alarm = self._raise(signal, channel, mm_s) if alarm is None else alarm
            if self._zone > alarm.zone:  # whoever acknowledged it has not seen this
                alarm.zone, alarm.acknowledged = self._zone, False
                self._save()
            if mm_s > alarm.mm_s:
                alarm.mm_s, alarm.channel = mm_s, channel
        if alarm is None:
            return []
        if over and (alarm.acknowledged or not self._options.latch):
            self._alarm = None
            self._save()
            return [] if self._alarm_event is None else [self._alarm_ended(over=True, of=alarm)]
        told: Facts = {"zone": alarm.zone, "acknowledged": alarm.acknowledged, "over": over}
        if self._alarm_event is not None and told == self._alarm_told:
            return []
        self._alarm_told = told
        phase: Phase = "new" if self._alarm_event is None else "update"
        event = self._event(phase, "alarm", {**_said(alarm), "over": over}, self._alarm_event)
        self._alarm_event = event if phase == "new" else self._alarm_event
        return [event]

    def _alarm_ended(self, *, over: bool, of: Alarm | None = None) -> Event:
        event, self._alarm_event = self._alarm_event, None
        alarm = of or self._alarm
        assert event is not None
        assert alarm is not None
        if not over and not self._options.latch:
            self._alarm = None
        return self._event("end", "alarm", {**_said(alarm), "over": over}, event)

    def _raise(self, signal: Signal, channel: str, mm_s: float) -> Alarm:
        self._newest += 1
        alarm = Alarm(self._newest, self._zone, mm_s, channel)
        facts = {
            "machine": self._machine,
            "zone": alarm.zone,
            "velocity_mm_s": mm_s,
            "channel": channel,
            "standard": self._limits.edition,
            "limits_mm_s": self._limits.mm_s,
            "t_ns": self._last_ns,
        }
        try:
            alarm.window = self._store.keep_window(alarm.number, signal, facts)
        except OSError as error:
            self._complain(error)
        self._alarm = alarm
        self._save()
        return alarm

    def _save(self) -> None:
        latched = self._alarm if self._options.latch else None
        try:
            self._store.save(self._newest, latched)
            self._complained = False
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._context.log.warning("alarm cannot be stored", because=str(error))
        self._complained = True


def _speed_topic(options: MachineHealthOptions, context: Context) -> SpeedTopic | None:
    if options.speed_topic is None:
        return None
    return SpeedTopic(
        context.watch(options.speed_topic),
        field=options.speed_field,
        per_turn=1.0 if options.speed_unit == "rpm" else 1 / 60,
        max_age_ns=round(options.speed_max_age_s * NS),
        clock=context.clock,
        log=context.log,
    )


def _said(alarm: Alarm) -> Facts:
    """What events say of an alarm."""
    facts: Facts = asdict(alarm)
    facts["alarm"] = facts.pop("number")
    facts["worst_mm_s"] = round(alarm.mm_s, 4)
    del facts["mm_s"]
    facts["worst_channel"] = facts.pop("channel")
    return facts
