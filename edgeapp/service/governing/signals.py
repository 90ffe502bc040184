"""What a governor has to go on: limits, a prior, signals and costs; and what follows from them."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeapp.config.watchdog import WatchdogConfig
from edgeapp.core.context import Log
from edgeapp.document.render import clean
from edgeapp.service.governing.tenants import Hosted
from edgeapp.uplink.notices import CostsOf, Signal, SignalsNotice
from edgeapp.watchdog.boards import BOARDS, prior_of
from edgeapp.watchdog.limits import Limits, Prior
from edgeapp.watchdog.prior_file import PriorFileError, prior_file, read_prior
from edgeapp.watchdog.signals import values

TripFrom = Literal["device file", "kernel", "board"]

_MOST_COSTS = 32
_LONGEST = 300
_POWER = frozenset({"power monitor", "energy counter", "battery"})


@dataclass(frozen=True, slots=True)
class Grounds:
    """What is known of the device before the first second."""

    limits: Limits
    prior: Prior
    calibrated: bool
    """The prior is what `edgeapp calibrate` learned of this device."""
    trip_from: TripFrom


def grounds_of(
    config: WatchdogConfig,
    data_dir: Path,
    *,
    cores: int,
    model: str,
    kernel_trip_c: float | None,
    log: Log,
) -> Grounds:
    """What a governor starts from. Blocking: reads the calibration.

    `cores`: of the device. `model`: how the board calls itself. `kernel_trip_c`: where the kernel slows
    the die down.
    """
    prior, calibrated = None, False
    try:
        prior = read_prior(prior_file(data_dir))
        calibrated = prior is not None
    except PriorFileError as error:
        log.warning("calibration left out", why=str(error))
    if prior is None:
        named = [board for board in BOARDS if board.board == config.board]
        prior = named[0] if named else prior_of(model)
    trip_from: TripFrom = "board"
    trip_c = prior.trip_c
    if config.trip_c is not None:
        trip_c, trip_from = config.trip_c, "device file"
    elif kernel_trip_c is not None:
        trip_c, trip_from = kernel_trip_c, "kernel"
    limits = Limits(
        cores=cores,
        trip_c=trip_c,
        margin_c=config.margin_c,
        cpu_share=config.cpu_share,
        cores_without_sensor=config.cores_without_sensor,
        power_w=config.power_w,
        battery=config.battery,
        swaps_per_h=config.swaps_per_h,
    )
    return Grounds(limits, prior, calibrated, trip_from)


def physical(signals: Iterable[values.Signal], limits: Limits) -> tuple[str, ...]:
    """What can be acted upon without knowing what a variant costs."""
    found = {signal.name for signal in signals if signal.found}
    on = (
        ("heat", "die temperature" in found or limits.cores_without_sensor is not None),
        ("undervoltage", bool(found & {"undervoltage", "over-current"})),
        ("power", limits.power_w is not None and bool(found & _POWER)),
        ("battery", limits.battery is not None and "battery" in found),
    )
    return tuple(what for what, is_so in on if is_so)


def report(
    grounds: Grounds, signals: Sequence[values.Signal], hosts: Iterable[Hosted]
) -> SignalsNotice:
    """What the watchdog can know, and what it acts upon."""
    with_models = [host for host in hosts if host.tenant.ladders]
    acts_on = physical(signals, grounds.limits) if with_models else ()
    if any(host.measured for host in with_models):
        acts_on = (*acts_on, "load", "latency", "memory")
    return SignalsNotice(
        schema="edgeapp/signals/1",
        board=clean(grounds.prior.board),
        calibrated=grounds.calibrated,
        trip_c=grounds.limits.trip_c,
        trip_from=grounds.trip_from,
        acts_on=acts_on,
        signals=tuple(
            Signal(
                name=signal.name,
                found=signal.found,
                where=clean(signal.where)[:_LONGEST],
                note=clean(signal.note)[:_LONGEST],
            )
            for signal in signals
        ),
        costs=tuple(
            CostsOf(
                pipeline=host.tenant.name,
                measured=host.measured,
                problem=clean(host.problem)[:_LONGEST],
            )
            for host in with_models[:_MOST_COSTS]
        ),
    )


def log_facts(notice: SignalsNotice, hosts: Iterable[Hosted], data_dir: Path) -> dict[str, object]:
    """The report in the facts of one log line. `data_dir`: where costs are looked for."""
    found = [
        f"{signal.name} ({signal.where})" if "temp" in signal.name else signal.name
        for signal in notice.signals
        if signal.found
    ]
    facts: dict[str, object] = {
        "acts_on": ", ".join(notice.acts_on) or "nothing",
        "found": ", ".join(found) or "nothing",
        "not_found": ", ".join(s.name for s in notice.signals if not s.found) or "nothing",
        "board": f"{notice.board}, calibrated" if notice.calibrated else notice.board,
        "trip_c": notice.trip_c,
    }
    unmeasured = [host for host in hosts if host.tenant.ladders and not host.measured]
    if unmeasured:
        facts["not_measured"] = ", ".join(host.tenant.name for host in unmeasured)
        # A person's own shell is not told where a service keeps what it knows.
        folder, file = shlex.quote(str(data_dir)), shlex.quote(str(unmeasured[0].plan.file))
        facts["to_measure"] = f"STATE_DIRECTORY={folder} edgeapp bench {file}"
    return facts
