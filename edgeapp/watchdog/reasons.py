"""Why: one clause for people."""

from collections.abc import Mapping, Sequence

from edgeapp.core.dial import Setting
from edgeapp.watchdog.ladder import CLOSED, Ladder, StageKey, Tenant
from edgeapp.watchdog.options import Option
from edgeapp.watchdog.tick import Binding

ALLOWS: Mapping[Binding, str] = {
    "none": "nothing is scarce",
    "heat_30s": "the heat of the next 30 s allows {cores:.2f} cores",
    "heat_300s": "the heat of the next 5 minutes allows {cores:.2f} cores",
    "cpu": "others leave us {cores:.2f} cores",
    "latency": "anything better would answer later than its deadline",
    "power": "the power limit allows {cores:.2f} cores",
    "battery": "to last as long as it should, the battery allows {cores:.2f} cores",
    "memory": "there is no memory for anything better",
    "undervoltage": "the supply gave way, and bears {cores:.2f} cores for now",
    "sensors": "no temperature can be trusted",
    "fault": "the governor itself failed",
}
"""What keeps it from choosing better."""


def too_hot(die_c: float, trip_c: float) -> str:
    """What would become of the choice that has to go."""
    where = "over" if die_c > trip_c else "too near"
    return (
        f"30 s ahead the die would reach {die_c:.1f} C, {where} the {trip_c:g} C at which the "
        f"hardware slows down"
    )


def holds(die_c: float) -> str:
    """Why something better could be chosen."""
    return f"it holds: 5 minutes ahead the die has {die_c:.1f} C"


FITS = "there is room for it"
"""Why something better could be chosen where no heat is known."""


PREPARED = "the next burst of others would take more than lower rates can give"
"""Why models were changed although they could have stayed for now."""


def struck(stage: StageKey) -> str:
    """A rung is gone."""
    return f"a variant of '{stage[1]}' in '{stage[0]}' could not be loaded"


def pinned(stage: StageKey) -> str:
    """A person wants something."""
    return f"a person pinned '{stage[1]}' in '{stage[0]}'"


def failed(error: Exception) -> str:
    """The governor itself is what went wrong."""
    return f"the governor failed ({type(error).__name__}: {error}), so that all goes to the floor"


def limited(binding: Binding, cores: float) -> str:
    """What keeps it from choosing better."""
    return ALLOWS[binding].format(cores=max(0.0, cores))


def combination(tenants: Sequence[Tenant], chosen: Sequence[Option]) -> str:
    """A choice in words: each stage with its variant and rate."""
    return ", ".join(
        f"{tenant.name}: {_option(tenant, option)}"
        for tenant, option in zip(tenants, chosen, strict=True)
    )


def _option(tenant: Tenant, option: Option) -> str:
    if option.paused:
        return "paused"
    if not tenant.ladders:
        return "running"
    if len(tenant.ladders) == 1:
        return _setting(tenant.ladders[0], option.settings[tenant.ladders[0].key])
    return " ".join(
        f"{ladder.stage} {_setting(ladder, option.settings[ladder.key])}"
        for ladder in tenant.ladders
    )


def _setting(ladder: Ladder, setting: Setting) -> str:
    if setting.divisor == CLOSED:
        return "closed"
    variant = ladder.rungs[setting.rung].variant
    return variant if setting.divisor == 1 else f"{variant} 1/{setting.divisor}"
