"""What this device can bear, and what runs on it because of that.

The core is pure: it reads no file, knows no wall clock and starts no thread. It can be driven from
outside, by any application, in a few lines. Describe what can be chosen (`Tenant`, `Ladder`,
`Rung`), what must hold (`Limits`) and what is believed of the device (`Prior`); then, once a second,
tell a `Governor` what the device says (`Reading`) and what was done (`Work`), and obey its
`Decision`:

>>> from edgeapp.core.clock import FakeClock
>>> from edgeapp.core.dial import Setting
>>> from edgeapp.watchdog import (
...     Governor, Ladder, Limits, Prior, Reading, Rung, SensorReading, StageWork, Tenant, Work)
>>> rungs = (Rung("large", cpu_s=0.15, accuracy=0.90), Rung("small", cpu_s=0.04, accuracy=0.80))
>>> camera = Tenant("porch", (Ladder("porch", "detect", rungs, rate_hz=5.0),), critical=True)
>>> clock = FakeClock()
>>> governor = Governor([camera], Limits(cores=4), Prior("raspberry-pi-4"), clock)
>>> setting = Setting(0)
>>> for second in range(3):
...     clock.advance(1.0)
...     sensor = SensorReading("cpu-thermal", "die", 78.0 + 0.5 * second)
...     used = 5.0 / setting.divisor * rungs[setting.rung].cpu_s
...     work = Work(used, {("porch", "detect"): StageWork(rate_hz=5.0, actual=setting)})
...     decision = governor.step(Reading((sensor,), busy_cores=used + 0.1), work)
...     setting = decision.settings["porch", "detect"]
>>> rungs[setting.rung].variant, decision.level, decision.paused
('small', 'serious', frozenset())

On a real machine `MonotonicClock` takes the place of the fake one and `readings.Readings` reads the
signals. `Governor.step` never raises: whatever goes wrong inside means the floor, and is said.
`Governor.replace` takes other tenants while what was learned of the device stays. All that is read
is in `tick.py`, all that is configured in `ladder.py` and `limits.py`; the flow begins in
`governor.py`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeapp.watchdog.governor import Governor
    from edgeapp.watchdog.ladder import Ladder, LadderError, Rung, StageKey, Tenant
    from edgeapp.watchdog.limits import BatteryGoal, Limits, Prior
    from edgeapp.watchdog.tick import (
        Decision,
        Reading,
        SensorReading,
        StageWork,
        Trust,
        Work,
    )

__all__ = [
    "BatteryGoal",
    "Decision",
    "Governor",
    "Ladder",
    "LadderError",
    "Limits",
    "Prior",
    "Reading",
    "Rung",
    "SensorReading",
    "StageKey",
    "StageWork",
    "Tenant",
    "Trust",
    "Work",
]

_HOMES = {
    "governor": ("Governor",),
    "ladder": ("Ladder", "LadderError", "Rung", "StageKey", "Tenant"),
    "limits": ("BatteryGoal", "Limits", "Prior"),
    "tick": ("Decision", "Reading", "SensorReading", "StageWork", "Trust", "Work"),
}


def __getattr__(name: str) -> object:
    """Load what is asked for, and no more: a costs file is read without a governor."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
