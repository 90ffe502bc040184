"""Small traces for tests: a device to simulate, and a recording."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

SENSOR = "class/thermal/thermal_zone0/temp"
PLANT: dict[str, Any] = {
    "format": "edgeapp-thermal/1",
    "name": "ambient_step",
    "seed": 7,
    "tick_s": 1,
    "duration_s": 120,
    "plant": {
        "nodes": [
            {"id": "die", "r_k_per_w": 2.5, "tau_s": 6, "to": "board"},
            {"id": "board", "r_k_per_w": 10.5, "tau_s": 230, "to": "ambient"},
        ],
        "power": {"idle_w": 2.1, "core_w": 1.07, "cores": 4, "leak_w_per_k": 0.006},
        "throttle": {"on_c": 80, "hard_c": 85, "hyst_c": 2, "steps": [1, 0.667, 0.5, 0.4]},
        "start_c": 54,
    },
    "inputs": {"ambient_c": [[0, 25], [60, 38]], "foreign_cores": [[0, 0.12]]},
    "sensors": [
        {
            "path": SENSOR,
            "type": "cpu-thermal",
            "node": "die",
            "faults": [{"from": 30, "to": 60, "kind": "const", "value": -89.7}],
        }
    ],
    "static_files": {"class/thermal/thermal_zone0/trip_point_0_temp": "80000\n"},
    "expect": {"avoidable_over_s_max": 0, "miss_max": 0.5},
}
RECORDING: dict[str, Any] = {
    "format": "edgeapp-thermal/1",
    "name": "porch",
    "samples": {
        "columns": ["t", SENSOR, "class/power_supply/BAT0/status", "own_cpu", "total_cpu"],
        "rows": [
            [0, 48200, "Full", 0.5, 1.0],
            [1, 48687, "Full", 0.5, 1.1],
            [2.5, None, "Discharging", None, 1.2],
            [4, 49174, None, 0.6, 1.0],
        ],
    },
    "static_files": {"class/thermal/thermal_zone0/type": "cpu-thermal\n"},
}


def plant(**changes: Any) -> dict[str, Any]:
    """The device, with other keys at the top; None takes one away."""
    return _changed(PLANT, changes)


def recording(**changes: Any) -> dict[str, Any]:
    """The recording, with other keys at the top; None takes one away."""
    return _changed(RECORDING, changes)


def written(folder: Path, facts: object) -> Path:
    """The file with a trace."""
    file = folder / "trace.json"
    file.write_text(facts if isinstance(facts, str) else json.dumps(facts), encoding="utf-8")
    return file


def _changed(facts: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    changed = deepcopy(facts) | changes
    return {key: value for key, value in changed.items() if value is not None}
