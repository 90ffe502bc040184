"""Mains and batteries, with all that drivers leave out."""

import pytest

from edgeapp.core.clock import NS
from edgeapp.watchdog.signals.power_supply import PowerSupplies, Supplies
from tests.watchdog.trees import Folder, tree

BATTERY: dict[str, int | str] = {"type": "Battery", "status": "Discharging", "capacity": 80}
FULL: dict[str, int | str] = {
    **BATTERY,
    "charge_now": 2_000_000,
    "charge_full": 4_000_000,
    "voltage_now": 5_000_000,
    "current_now": 600_000,
}


def supplies(**each: Folder) -> Supplies:
    made = PowerSupplies(tree({"sys": {"class": {"power_supply": each}}}), "/sys")
    made.probe()
    return made.read(0)


def test_charge_and_current_become_energy_and_power() -> None:
    now = supplies(BAT=FULL)
    assert now == Supplies(on_ac=False, battery=0.5, battery_wh=10.0, power_w=3.0)


def test_mains_of_several_kinds_any_of_which_feeds_the_device() -> None:
    mains: Folder = {"type": "Mains", "online": 0}
    usb: Folder = {"type": "USB", "online": 1}
    assert supplies(AC=mains, USB=usb).on_ac is True
    assert supplies(AC=mains).on_ac is False
    assert supplies(AC=mains, BAT=BATTERY).on_ac is False
    assert supplies(AC={"type": "Mains", "online": "x"}).on_ac is None


@pytest.mark.parametrize(
    ("status", "on_ac"),
    [("Charging", True), ("Full", True), ("Not charging", True), ("Unknown", None), ("", None)],
)
def test_battery_tells_of_the_mains_where_nothing_else_does(
    status: str, on_ac: bool | None
) -> None:
    now = supplies(BAT={**FULL, "status": status})
    assert now.on_ac is on_ac
    assert now.power_w is None, "only what it delivers"


@pytest.mark.parametrize(
    ("battery", "charge", "left_wh"),
    [
        (BATTERY, 0.8, None),
        ({**BATTERY, "capacity": 101}, 1.0, None),
        ({**BATTERY, "capacity": 255}, None, None),
        ({**BATTERY, "capacity": "nan"}, None, None),
        ({**BATTERY, "energy_now": 10_000_000}, 0.8, 10.0),
        ({**BATTERY, "energy_now": 10_000_000, "energy_full": 0}, 0.8, 10.0),
        ({**BATTERY, "energy_now": 11_000_000, "energy_full": 10_000_000}, 1.0, 11.0),
        ({**BATTERY, "charge_now": 2_000_000}, 0.8, None),
        ({**BATTERY, "present": 0}, None, None),
        ({**BATTERY, "scope": "Device"}, None, None),
        ({**BATTERY, "type": "Toaster"}, None, None),
    ],
)
def test_what_a_battery_leaves_out_or_makes_up(
    battery: Folder, charge: float | None, left_wh: float | None
) -> None:
    now = supplies(BAT=battery)
    assert (now.battery, now.battery_wh) == (charge, left_wh)


def test_charge_that_jumps_is_doubted_once_and_then_believed() -> None:
    """A gauge that says 0 for a second would have everything paused."""
    files = tree({"sys": {"class": {"power_supply": {"BAT": FULL}}}})
    made = PowerSupplies(files, "/sys")
    made.probe()
    charges = []
    for second, charge in enumerate(
        [2_000_000, 0, 2_000_000, 2_000_000, 1_990_000, 500_000, 500_000]
    ):
        files["/sys/class/power_supply/BAT/charge_now"] = str(charge)
        now = made.read(second * NS)
        assert (now.battery is None) == (now.battery_wh is None)
        charges.append(now.battery if now.battery is None else round(now.battery, 6))
    assert charges == [0.5, None, None, 0.5, 0.4975, None, 0.125]


def test_two_batteries_of_which_one_is_silent_are_not_taken_for_one() -> None:
    now = supplies(BAT0=FULL, BAT1={"type": "Battery", "status": "Discharging"})
    assert (now.battery, now.battery_wh, now.power_w) == (None, None, None)
