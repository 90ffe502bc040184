"""The options of the `machine_health` transform."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Self

from pydantic import model_validator

from edgeapp.api import Field, Live, Misfit, Options, Sampling, WatchTopic
from edgeapp.transforms._bands import HIGH_HZ, LOW_HZ, SLOW_LOW_HZ, Velocity
from edgeapp.transforms._iso20816 import Limits, MachineClass, Mounting, Standard

SLOW_RPM = 600.0
"""Below it part 3 of the standards looks from 2 Hz on."""


class MachineHealthOptions(Options):
    """Which machine it is, and when to raise the alarm."""

    standard: Standard = Field(
        default="iso20816-3",
        description="Whose zones: iso20816-3 (2022), iso10816-3 (2009), or iso10816-1 (1995) with "
        "its classes.",
    )
    group: Literal[1, 2] | None = Field(
        default=None,
        examples=[2],
        description="Part 3: group 1 is above 300 kW (shaft height above 315 mm), group 2 is 15 to "
        "300 kW (160 to 315 mm).",
    )
    mounting: Mounting | None = Field(
        default=None,
        examples=["rigid"],
        description="Part 3: rigid, when the lowest natural frequency of machine and support is at "
        "least 1.25 times the main excitation; else flexible.",
    )
    machine_class: MachineClass | None = Field(
        default=None,
        description="ISO 10816-1: I is up to 15 kW, II is 15 to 75 kW, III large and rigid, IV large "
        "and flexible.",
    )
    machine: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="What its events call the machine; the pipeline's name if not given.",
    )
    alarm_zone: Annotated[Literal["C", "D"], Live()] = Field(
        default="C",
        description="The zone that raises the alarm: C (not for long-term operation) or D (may "
        "cause damage).",
    )
    for_s: Annotated[float, Live()] = Field(
        default=10.0,
        ge=0,
        description="How long a worse zone must last before it counts, in seconds of stream time.",
    )
    clear_s: Annotated[float, Live()] = Field(
        default=30.0,
        ge=0,
        description="How long a better zone must last before it counts, in seconds.",
    )
    hysteresis: Annotated[float, Live()] = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="How far below a limit the velocity must fall to leave a zone, as a fraction.",
    )
    latch: bool = Field(
        default=True,
        description="Keep an alarm until it is acknowledged, even when all is well again, and "
        "through restarts.",
    )
    warm_up_s: float = Field(
        default=0.0,
        ge=0,
        description="How many seconds not to judge the machine after it started: when its speed "
        "reaches min_speed_rpm; where that is not measured, when the stream begins.",
    )
    speed_rpm: float | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="The machine's speed where it is constant, in turns per minute.",
    )
    tacho_channel: str | None = Field(
        default=None,
        description="The channel with a tachometer's pulses, to measure the speed.",
    )
    pulses_per_rev: float = Field(
        default=1.0, gt=0, le=10_000, description="How many pulses a turn of the shaft gives."
    )
    speed_topic: WatchTopic | None = Field(
        default=None,
        description="Topic of the device's broker, in full, on which somebody publishes the speed: "
        "a number, or JSON with speed_field.",
    )
    speed_field: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The field with the speed, where speed_topic has JSON objects.",
    )
    speed_unit: Literal["rpm", "hz"] = Field(
        default="rpm",
        description="What speed_topic counts: turns per minute (rpm) or per second (hz).",
    )
    speed_max_age_s: float = Field(
        default=30.0,
        gt=0,
        description="A speed from speed_topic that arrived so long ago is not used any more: then "
        "the machine is not judged.",
    )
    min_speed_rpm: float | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="With tacho_channel or speed_topic: the machine is judged from this speed on; 600 if not given. "
        "Below 600 the standard looks from 2 Hz on, which takes windows of 2 s.",
    )
    keep_windows: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="How many raw windows, each of which raised an alarm, to keep on disk.",
    )

    @model_validator(mode="after")
    def _one_machine(self) -> Self:
        if self.standard == "iso10816-1":
            if self.group is not None or self.mounting is not None:
                raise ValueError("iso10816-1 has no groups: give machine_class instead")
            if self.machine_class is None:
                raise ValueError("iso10816-1 needs machine_class: I, II, III or IV")
            return self
        if self.machine_class is not None:
            raise ValueError(
                f"{self.standard} has no classes: give group and mounting, or say "
                "'standard: iso10816-1'"
            )
        if self.group is None or self.mounting is None:
            raise ValueError(
                f"{self.standard} needs group (1: above 300 kW, 2: 15 to 300 kW) and mounting "
                "(rigid or flexible)"
            )
        return self

    @model_validator(mode="after")
    def _one_speed(self) -> Self:
        sources = ("speed_rpm", "tacho_channel", "speed_topic")
        given = [name for name in sources if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give only one of {', '.join(given)}")
        if self.tacho_channel is None:
            self._refuse("{} needs a tacho: give tacho_channel too", "pulses_per_rev")
        if self.speed_topic is None:
            names = ("speed_field", "speed_unit", "speed_max_age_s")
            self._refuse("{} needs a topic: give speed_topic too", *names)
        if not self.measures_speed:
            why = "{} needs a speed that is measured: give tacho_channel or speed_topic too"
            self._refuse(why, "min_speed_rpm")
        return self

    def _refuse(self, why: str, *names: str) -> None:
        for name in names:
            if name in self.model_fields_set and getattr(self, name) is not None:
                raise ValueError(why.format(name))

    def remarks(self) -> Sequence[str]:
        """What becomes of the speed where there is no broker."""
        if self.speed_topic is None:
            return ()
        where = f"the topic '{self.speed_topic}' of the device's broker"
        return (f"the speed comes from {where}: a replay hears none, and judges nothing",)

    def limits(self) -> Limits:
        """The zones' boundaries for this machine."""
        if self.machine_class is not None:
            return Limits.of_class(self.machine_class)
        assert self.group is not None
        assert self.mounting is not None
        return Limits.of_group(self.standard, self.group, self.mounting)

    @property
    def running_rpm(self) -> float:
        """With a speed that is measured: that from which on the machine is judged."""
        return self.min_speed_rpm or SLOW_RPM

    @property
    def measures_speed(self) -> bool:
        """Whether its speed comes from a tacho or a topic."""
        return self.tacho_channel is not None or self.speed_topic is not None

    @property
    def low_hz(self) -> float:
        """Where the band of the velocity begins."""
        slowest = self.running_rpm if self.measures_speed else (self.speed_rpm or SLOW_RPM)
        slow = slowest < SLOW_RPM and self.standard != "iso10816-1"
        return SLOW_LOW_HZ if slow else LOW_HZ

    def misfits(self, before: Sampling) -> Iterable[Misfit]:
        """What keeps the velocity from being measured."""
        if before.rate_hz is None:
            return
        if before.rate_hz <= 2 * HIGH_HZ or before.top_hz < HIGH_HZ:
            yield Misfit(
                "",
                f"it judges the velocity from {self.low_hz:g} to {HIGH_HZ:g} Hz, but "
                f"{before.why_not_above}",
                f"sample faster than {2 * HIGH_HZ:g} Hz, with a sensor that reaches {HIGH_HZ:g} Hz",
            )
        needs_s, lasts_s = Velocity.needs_s(self.low_hz), before.duration_s
        if lasts_s is not None and lasts_s < needs_s * (1 - 1e-9):
            yield Misfit(
                "",
                f"it judges the velocity from {self.low_hz:g} Hz on, which takes windows of "
                f"{needs_s:g} s, but it is given {lasts_s:.3g} s at a time",
                f"put 'transform: window' with 'length_s: {max(1.0, needs_s):g}' before it",
            )
