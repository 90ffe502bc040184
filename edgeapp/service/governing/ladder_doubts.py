"""What is doubtful in ladders whose costs were measured, for `edgeapp check`."""

import os
from collections.abc import Sequence

from edgeapp.config.device import DeviceConfig
from edgeapp.core.clock import MonotonicClock
from edgeapp.plan.graph import Plan
from edgeapp.service.governing.signals import grounds_of
from edgeapp.service.governing.tenants import hosted, without_accuracy
from edgeapp.service.logs import set_up
from edgeapp.watchdog.checks import complaints, impossible
from edgeapp.watchdog.readings import Readings


def ladder_doubts(plans: Sequence[Plan], config: DeviceConfig) -> list[str]:
    """A sentence for each doubt, and for each costs file that cannot be used.

    Blocking: reads model files, and what the device says of itself.
    """
    hosts = [hosted(plan, config.data_dir) for plan in plans]
    readings = Readings(MonotonicClock())
    grounds = grounds_of(
        config.watchdog,
        config.data_dir,
        cores=os.cpu_count() or 1,
        model=readings.model,
        kernel_trip_c=readings.trip_c,
        log=set_up("warning"),
    )
    tenants = [host.tenant for host in hosts if host.measured]
    wrong = impossible(tenants, grounds.limits, grounds.prior)
    said = [f"pipeline '{host.tenant.name}': {host.problem}" for host in hosts if host.problem]
    said += [
        f"pipeline '{host.tenant.name}': nobody says how accurate '{variant}' is, so that each variant "
        f"counts 90 % of the one above it; add 'accuracy:' to it"
        for host in hosts
        if host.measured
        for variant in without_accuracy(host.plan, host.costs)
    ]
    return said + (wrong or complaints(tenants, grounds.limits, grounds.prior))
