"""What is believed of well-known boards before they were observed.

No two of them sit in the same case: a prior only has to be right within a third, the rest is learned
while it runs (`thermal_model`) or measured (`edgeapp calibrate`). Figures are from these sources, the
others are assumed:

- Throttling of a Raspberry Pi begins at 80 C, of a 3B+ softly at 60 C: raspberrypi/documentation,
  frequency-management.md, in its issue 970 and pull request 1348. Of a Pi 5 at 80 C, too:
  pidiylab.com, "Raspberry Pi 5 Cooling Guide".
- Pi 4: 2.1 W idle, 6.41 W with all cores busy after its firmware updates: The MagPi, "Thermal
  testing Raspberry Pi 4". Bare in a room it idles 27 K above it and is 11 K warmer after ten minutes
  of integer work: pi-plates.com, "Using a THERMOplate to measure temperatures on the RPi4".
- Pi 3B+: 1.9 W idle, 5.1 W with all cores busy: the table of pidramble.com.
- Pi 5: idles around 50 C without a cooler, and its fan holds it in the sixties: beamostore.com,
  "Raspberry Pi 5 Overheating?".
- N100: 6 W base power for four cores, a junction that may have 105 C: Intel, Processor and Core i3
  N-series datasheet.
- Jetson Orin Nano: what is published of where it slows down lies between 80 and 99 C; assumed is 95.
"""

from dataclasses import replace

from edgeapp.watchdog.limits import Prior

GENERIC = "generic"

_PI_4 = Prior(
    board="raspberry-pi-4",
    trip_c=80.0,
    idle_k=27.0,
    board_k_per_core=11.0,  # assumed: 1.07 W for each core, 10.5 K/W from the board to the room
    board_tau_s=230.0,  # assumed: bare boards throttle within minutes
    die_k_per_core=2.7,  # assumed: 2.5 K/W
    die_tau_s=6.0,
    idle_w=2.1,
    core_w=1.07,
)
_PI_5 = Prior(
    board="raspberry-pi-5",
    trip_c=80.0,
    idle_k=25.0,
    board_k_per_core=11.0,  # assumed: 7.5 K/W
    board_tau_s=420.0,  # assumed
    die_k_per_core=3.5,  # assumed
    die_tau_s=6.0,
    idle_w=2.8,  # assumed
    core_w=1.5,  # assumed
)

BOARDS: tuple[Prior, ...] = (
    Prior(
        board="raspberry-pi-3b-plus",
        trip_c=60.0,
        idle_k=22.0,  # assumed
        board_k_per_core=8.0,  # assumed: 0.8 W for each core, 10 K/W
        board_tau_s=230.0,  # assumed
        die_k_per_core=2.0,  # assumed
        die_tau_s=5.0,
        idle_w=1.9,
        core_w=0.8,
    ),
    _PI_4,
    _PI_5,
    replace(
        _PI_5,
        board="raspberry-pi-5-fan",
        idle_k=18.0,  # assumed, as the three below
        board_k_per_core=5.0,
        board_tau_s=150.0,
        die_k_per_core=3.5,
    ),
    Prior(
        board="jetson-orin-nano",
        trip_c=95.0,
        idle_k=20.0,  # assumed, as all below but for the 7 to 15 W that six cores share
        board_k_per_core=3.0,
        board_tau_s=240.0,
        die_k_per_core=1.5,
        die_tau_s=5.0,
        idle_w=4.5,
        core_w=1.2,
    ),
    Prior(
        board="intel-n100",
        trip_c=95.0,  # assumed: firmware of small fanless boxes slows down before 105 C
        idle_k=18.0,  # assumed, as all below
        board_k_per_core=7.0,
        board_tau_s=600.0,
        die_k_per_core=5.0,
        die_tau_s=3.0,
        idle_w=6.0,
        core_w=2.5,
    ),
    Prior(
        board=GENERIC,
        trip_c=80.0,
        idle_k=22.0,  # assumed, as all below
        board_k_per_core=8.0,
        board_tau_s=300.0,
        die_k_per_core=3.0,
        die_tau_s=5.0,
        idle_w=3.0,
        core_w=1.5,
    ),
)
"""Every board that is known; the last is for those that are not."""

_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("raspberry-pi-3b-plus", ("raspberry pi 3", "plus")),
    ("raspberry-pi-4", ("raspberry pi 4",)),
    ("raspberry-pi-4", ("raspberry pi 400",)),
    ("raspberry-pi-4", ("raspberry pi compute module 4",)),
    ("raspberry-pi-5", ("raspberry pi 5",)),
    ("raspberry-pi-5", ("raspberry pi compute module 5",)),
    ("jetson-orin-nano", ("jetson", "orin", "nano")),
    ("intel-n100", ("intel", "n100")),
    ("intel-n100", ("intel", "n97")),
    ("intel-n100", ("intel", "n95")),
)


def prior_of(model: str, *, fan: bool = False) -> Prior:
    """What is believed of a board.

    Args:
        model: As `/proc/device-tree/model` or the processor's name says it, or a name of `BOARDS`.
        fan: Whether the system shows a fan, for boards that are also sold without.
    """
    text = " ".join(model.replace("\0", " ").lower().split())
    named = {prior.board: prior for prior in BOARDS}
    name = text if text in named else _recognised(text)
    if fan and f"{name}-fan" in named:
        name = f"{name}-fan"
    return named[name]


def _recognised(text: str) -> str:
    plain = text.replace("(r)", "").replace("(tm)", "")
    for name, words in _WORDS:
        if all(word in plain for word in words):
            return name
    return GENERIC
