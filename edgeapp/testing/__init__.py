"""Public helpers for tests of stages and pipelines, for plugin authors too.

from edgeapp.testing import packets, run_stage

def test_gate_waits_until_it_is_sure():
    ran = run_stage(Gate, {"rise_above": 0.8, "for_s": 1.0}, packets(scores, rate_hz=2))
    assert [p.value.value for p in ran.packets] == [0.9, 0.95]
"""

from edgeapp.testing.scripted import Abort, Fail, Pause, Script, Scripted, packets
from edgeapp.testing.stage import Ran, context, run_source, run_stage
from edgeapp.testing.uplink import RecordingUplink

__all__ = [
    "Abort",
    "Fail",
    "Pause",
    "Ran",
    "RecordingUplink",
    "Script",
    "Scripted",
    "context",
    "packets",
    "run_source",
    "run_stage",
]
