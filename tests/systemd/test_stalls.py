"""Whatever stalls, in whichever kind of stage: the watchdog ends the service, and it runs again."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.mosquitto import wait_until
from tests.systemd.device import DATA, UNIT, Device

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HANG_S = 2
WATCHDOG_S = 15
"""WatchdogSec of the shipped unit."""
A_LOOK_S = 1.0
"""The last sign of life came before the stall."""
MARGIN_S = 6.0
"""A look a second, stacks, and the time that systemd gives an aborted process; with other load."""
STALLS = f"""
name: stalls
stages:
  pulse: {{source: stalls_source, hang_s: {HANG_S}}}
  pass: {{transform: stalls_transform, hang_s: {HANG_S}}}
  judge: {{model: stalls_model, variants: [{{file: models/conveyor_96.onnx}}], hang_s: {HANG_S}}}
  act: {{action: stalls_action, from: judge, hang_s: {HANG_S}}}
  say: {{output: stalls_output, from: judge, hang_s: {HANG_S}}}
"""
SILENT = f"""
name: silent
stages:
  camera: {{source: silent_camera, hang_s: {HANG_S}}}
  idle: {{transform: stalls_transform, lane: own, hang_s: {HANG_S}}}
  judge: {{model: stalls_model, variants: [{{file: models/conveyor_96.onnx}}], hang_s: {HANG_S}}}
  note: {{output: mqtt}}
"""


@pytest.fixture(scope="module")
def stalling(device: Device) -> Iterator[Device]:
    """The device with a pipeline whose stages stall when told, and one that is silent."""
    plugin = Path(__file__).with_name("plugins") / "stalls.py"
    device.write("/etc/edgeapp/plugins/stalls.py", plugin.read_text())
    device.machine.run(f"rm -f {DATA}/stall-*")
    with device.pipelines({"stalls": STALLS, "silent": SILENT}):
        yield device
    device.machine.run("rm -r /etc/edgeapp/plugins")


def at_us(entry: dict[str, Any]) -> int:
    return int(entry["__MONOTONIC_TIMESTAMP"])


def test_a_silent_camera_and_an_idle_lane_are_healthy(stalling: Device) -> None:
    """For longer than any watchdog waits."""
    pid = stalling.show("MainPID")
    began_us = int(stalling.show("ActiveEnterTimestampMonotonic"))
    longest_us = (HANG_S + WATCHDOG_S + 1) * 1_000_000

    def long_enough() -> bool:
        up_s = float(stalling.machine.run("cut -d ' ' -f 1 /proc/uptime"))
        return up_s * 1_000_000 - began_us > longest_us

    wait_until(long_enough, "it is up for long enough")
    assert stalling.is_up()
    assert stalling.show("MainPID") == pid


@pytest.mark.parametrize(
    ("kind", "function", "limit_s"),
    [
        ("source", "StallingSource.run", HANG_S),
        ("transform", "StallingTransform.process", HANG_S),
        ("model", "StallingModel.decode", HANG_S),
        ("action", "StallingAction.act", HANG_S),
        ("output", "StallingOutput.encode", HANG_S),
        ("loop", "block_the_loop", WATCHDOG_S),
        ("interpreter", "hold_the_interpreter", WATCHDOG_S),
    ],
)
def test_what_stalls_is_ended_and_runs_again(
    kind: str, function: str, limit_s: float, stalling: Device
) -> None:
    """Within its limit, by the watchdog, with the stacks in the journal before."""
    stalling.forgive()
    pid = stalling.show("MainPID")
    since = stalling.cursor()
    if kind == "loop":
        stalling.machine.systemctl("kill", "--signal=USR1", "--kill-whom=main", UNIT)
    else:
        stalling.machine.run(f"touch {DATA}/stall-{kind}")
    stalling.wait_logged("Failed with result 'watchdog'", since)
    # The stacks were written before; the journal may have taken the end from systemd sooner.
    stalling.wait_logged(function, since)
    entries = stalling.logged(since)
    began = re.search(rf"{kind} stalls now: (\d+)", stalling.text(since))
    assert began
    ended_us = next(at_us(e) for e in entries if "Main process exited" in str(e["MESSAGE"]))
    took_s = (ended_us - int(began[1])) / 1e6
    stalling.timings[f"stalled {kind} to its end"] = took_s
    assert limit_s - A_LOOK_S <= took_s <= HANG_S + WATCHDOG_S + MARGIN_S
    of_the_process = [str(e["MESSAGE"]) for e in entries if e.get("_PID") == pid]
    assert any(function in message for message in of_the_process)
    stalling.wait_up(not_pid=pid)
