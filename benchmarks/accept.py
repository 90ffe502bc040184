"""Every acceptance measurement, with its bound, as the table `docs/acceptance.md`.

Timings are ratios of alternating runs; what a test shows is shown by running that test here and
now, and the figures that it prints stand beside it. Takes more than two hours; `cost`, `shown`,
`senses`, `mqtt`, `watchdog` or `service` as an argument renews that section alone. Exit code 1: a bound was missed.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

from benchmarks import (
    camera_cost,
    governor_cost,
    governor_scenarios,
    hog,
    instructions,
    light_pipelines,
    motion,
    outbox_bytes,
    readings,
    reloads,
    rules,
    scrape_cost,
    service_systemd,
    soak,
    startup,
    swaps,
    threads,
    tracking,
    uplink,
    vibration_features,
    whut_matrix,
    windows,
)
from benchmarks.compare import REPO, Row

COST: Sequence[Callable[[], list[Row]]] = (
    camera_cost.rows,
    light_pipelines.rows,
    windows.rows,
    hog.rows,
    threads.rows,
    startup.rows,
    instructions.rows,
    vibration_features.rows,
    whut_matrix.rows,
)

SHOWN = {
    "smart camera: clip, network camera frozen, killed, returned": (
        "tests/pipelines/test_smart_camera.py"
    ),
    "20 expected frames; mutated decoders fail": "tests/models/decoders",
    "schemas; mutated messages are rejected": "tests/outputs",
    "network camera: silence, loss, return, passwords": "tests/sources",
    "vibration: spectra, velocity, bearing lines, WHUT": "tests/transforms",
    "models: held-out accuracy; no socket, no file outside": "tests/models",
    "bad input, bad plugins, bad devices; SIGTERM at 50 instants": (
        "tests/faults/test_bad_input.py tests/faults/test_bad_plugin.py "
        "tests/faults/test_bad_device.py tests/faults/test_shutdown.py"
    ),
    "20,000 fuzzed configs": "tests/plan",
    "laws of counts, keys and losses for random pipelines": "tests/runtime",
    "fresh Debian 12: README's commands, then without network": "tests/fresh",
}

SENSES_COST: Sequence[Callable[[], list[Row]]] = (rules.rows, tracking.rows, motion.rows)

SENSES = {
    "Silero VAD: speech where there is some; a microphone by PulseAudio": (
        "tests/models/test_silero.py"
    ),
    "log-mel equal to librosa's, YAMNet's and openWakeWord's": "tests/transforms/test_logmel.py",
    "microphones: bit for bit, gone and back": "tests/sources/test_audio_microphone.py",
    "sound_events: sounds of rooms never heard": "tests/pipelines/test_sound_events.py",
    "tracker against the list by eye, six people": "tests/pipelines/test_person_clip.py",
    "tracker: 14 scenes, IDF1 and MOTA against ByteTrack's own": (
        "tests/transforms/test_track_scenes.py"
    ),
    "clips: pre-roll 20 of 20; kill -9 while writing": (
        "tests/pipelines/test_clips.py tests/actions/test_save_clip.py"
    ),
    "privacy: no pixel of a masked region in recordings, taps, pictures": (
        "tests/service/recordings/test_recording.py tests/transforms/test_mask.py "
        "tests/pipelines/test_privacy.py"
    ),
    "record, replay: the same bytes, also on another Python": "tests/service/recordings/test_replay.py",
    "rules: 100,000 fuzzed texts": "tests/rules",
    "every event ends: 200 random stops": "tests/pipelines/test_every_end.py",
    "machines: IIO, serial, zones, physics": (
        "tests/sources/test_vibration_iio.py tests/sources/test_vibration_serial.py "
        "tests/transforms/test_machine_health.py tests/plan/test_physics.py "
        "tests/pipelines/test_machines.py"
    ),
    "control socket": "tests/service/control/test_control.py",
    "new projects pass check and test as they are": "tests/cli/test_new.py",
    "crop_health and visual_servo against drawn truth": (
        "tests/pipelines/test_crop_health.py tests/pipelines/test_visual_servo.py"
    ),
}

MQTT_COST: Sequence[Callable[[], list[Row]]] = (uplink.rows, outbox_bytes.rows)

MQTT = {
    "200 power cuts on ext4, broker absent; the same without syncing must lose": (
        "tests/faults/test_power_cuts.py"
    ),
    "200 x kill -9 of the whole application, broker up and down": "tests/faults/test_kill.py",
    "disk full, read-only, failing, frozen, freed again": "tests/faults/test_disk_faults.py",
    "mosquitto killed, restarted, paused, slowed, cut, corrupted": "tests/uplink/test_chaos.py",
    "seven days offline, 1,001,000 messages, then replayed": "tests/uplink/test_seven_days.py",
    "the clock stepped by up to 10 years; boots without a clock": (
        "tests/uplink/test_clock_steps.py tests/uplink/test_clock_boots.py "
        "tests/uplink/test_wall_clock.py tests/test_wall_time.py"
    ),
    "laws of the outbox; damaged store files": (
        "tests/uplink/test_durable_laws.py tests/uplink/test_durable_outbox.py "
        "tests/uplink/test_store_files.py tests/uplink/test_outbox.py"
    ),
    "last will, stopped, online, seen by mosquitto_sub and paho": (
        "tests/uplink/test_independent_client.py"
    ),
    "wrong CA, expired, wrong name, wrong password; brokers that misbehave": (
        "tests/uplink/mqtt/test_tls.py tests/uplink/mqtt/test_client.py tests/uplink/test_connection.py"
    ),
    "the whole application at bad brokers; planted secrets are nowhere": (
        "tests/faults/test_bad_broker.py"
    ),
    "poison, lanes, held states, replay pace on virtual time": (
        "tests/uplink/test_suspects.py tests/uplink/test_traffic.py tests/uplink/test_held.py "
        "tests/uplink/test_replay.py tests/uplink/test_sender.py"
    ),
    "Home Assistant: discovery field by field, on a real broker": "tests/service/discovery",
    "commands: each one, bad ones, floods, reloads": (
        "tests/service/control/test_commands.py tests/service/control/test_commands_live.py "
        "tests/service/reloading/test_reload.py tests/cli/test_hangup.py"
    ),
    "the outbox from the command line, beside a running application": (
        "tests/cli/test_outbox.py tests/cli/test_outbox_running.py"
    ),
}

WATCHDOG_COST: Sequence[Callable[[], list[Row]]] = (
    governor_scenarios.rows,
    governor_cost.rows,
    readings.rows,
    swaps.rows,
)

WATCHDOG = {
    "clairvoyant: equals exhaustive search, below no policy": (
        "tests/simulation/test_clairvoyant.py"
    ),
    "one reporting seed of each world": "tests/simulation/test_scenarios.py",
    "the simulated device, traces, fuzzed traces, fitted devices": (
        "tests/simulation/test_plant.py tests/simulation/test_app_model.py "
        "tests/simulation/test_trace.py tests/simulation/test_trace_fuzz.py "
        "tests/simulation/test_tree.py tests/simulation/test_replay.py "
        "tests/simulation/test_fitted.py tests/simulation/test_calibration.py"
    ),
    "thermal model on another plant, sensors, detectors, readings, allocation, governor": (
        "tests/watchdog"
    ),
    "200 forced swaps under load; whatever is asked of a dial": (
        "tests/faults/test_swaps.py tests/models/test_swap_laws.py"
    ),
    "CPU hogs beside the real process": "tests/service/governing/test_hog.py",
    "the driver: hangs, crashes, heat, reload": (
        "tests/service/governing/test_watchdog.py tests/service/governing/test_governing.py"
    ),
    "thermal record, simulate, fit; calibrate": ("tests/cli/test_thermal.py"),
}

SERVICE_COST: Sequence[Callable[[], list[Row]]] = (
    service_systemd.rows,
    reloads.rows,
    scrape_cost.rows,
    soak.rows,
)

SERVICE = {
    "a real systemd: installed offline, stalls, reloads, stops, typos, ways back": (
        "tests/systemd"
    ),
    "install, upgrade, going back, kill -9 at random instants, the guard": (
        "tests/deploy/test_install.py tests/deploy/test_install_killed.py "
        "tests/deploy/test_guard.py"
    ),
    "every kind of stage stalls in a real process": "tests/service/systemd/test_stalls.py",
    "100 reloads beside a running pipeline; going back; fuzzed files": (
        "tests/faults/test_reloads.py tests/service/reloading/test_reload.py tests/service/reloading/test_going_back.py"
    ),
    "planted secrets over faults and reloads": "tests/faults/test_planted_secrets.py",
    "rules and panels by promtool and a live Prometheus; the broker's rules": (
        "tests/deploy/test_prometheus_rules.py tests/deploy/test_prometheus_live.py "
        "tests/deploy/test_mosquitto_acl.py"
    ),
    "doctor, support bundle, safe mode": (
        "tests/service/doctor tests/service/test_bundle.py tests/cli/test_fallen_back.py"
    ),
}


def main(wanted: Sequence[str]) -> int:
    """Measure the wanted sections (none named: all), print each row as it comes, write them."""
    file = REPO / "docs" / "acceptance.md"
    kept = file.read_text(encoding="utf-8") if file.exists() else ""
    sections: dict[str, list[Callable[[], list[Row]]]] = {
        "Cost": [partial(_said, measure) for measure in COST],
        "Shown": _all_shown(SHOWN),
        "Senses": [
            *(partial(_said, measure) for measure in SENSES_COST),
            *_all_shown(SENSES),
        ],
        "MQTT": [
            *(partial(_said, measure) for measure in MQTT_COST),
            *_all_shown(MQTT),
        ],
        "Watchdog": [
            *(partial(_said, measure) for measure in WATCHDOG_COST),
            *_all_shown(WATCHDOG),
        ],
        "Service": [
            *(partial(_said, measure) for measure in SERVICE_COST),
            *_all_shown(SERVICE),
        ],
    }
    text, missed = _INTRODUCTION, False
    for title, measures in sections.items():
        if wanted and title.lower() not in wanted:
            text += _section_of(kept, title)
            continue
        rows = [row for measure in measures for row in measure()]
        missed = missed or any(row.ok is False for row in rows)
        table = "\n".join(_markdown(row) for row in rows)
        text += f"\n## {title}\n\n{datetime.now(UTC):%Y-%m-%d}, {_machine()}.\n\n{_HEAD}{table}\n"
    file.write_text(text, encoding="utf-8")
    return int(missed)


_INTRODUCTION = """# Acceptance

Written by `make accept`. Costs are ratios of alternating runs on a shared machine, medians of five or
more rounds; what a test shows, it showed when this was written, with the figures that it printed.
"""
_HEAD = """| what | bound | measured | | more |
| --- | --- | --- | --- | --- |
"""


def _all_shown(tests: Mapping[str, str]) -> list[Callable[[], list[Row]]]:
    return [partial(_said, partial(shown, what, where)) for what, where in tests.items()]


def _section_of(text: str, title: str) -> str:
    found = re.search(rf"\n## {title}\n.*?(?=\n## |\Z)", text, flags=re.DOTALL)
    return found[0] if found else ""


def _said(measure: Callable[[], list[Row]]) -> list[Row]:
    try:
        rows = measure()
    except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        rows = [Row(_name(measure), "", "failed", False, str(error)[-300:])]
    for row in rows:
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
    return rows


def _name(measure: Callable[[], list[Row]]) -> str:
    if isinstance(measure, partial):
        return str(measure.args[0])
    return measure.__module__


def shown(what: str, tests: str) -> list[Row]:
    """Run tests of one or more places, slow ones too; what they print is their measurement."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", *tests.split()],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    lines = [line.strip(". ") for line in done.stdout.splitlines()]
    last = lines[-1] if lines else ""
    counts = re.search(r"\d+ (passed|failed|skipped).*", last)
    figures = [line for line in lines[:-1] if re.search(r"\d", line) and len(line) < 200]
    return [
        Row(
            what,
            "passes",
            (counts[0] if counts else last or "nothing ran").split(" in ")[0],
            done.returncode == 0 and "passed" in done.stdout,
            "; ".join(figures[-6:]),
        )
    ]


def _machine() -> str:
    packages = ("onnxruntime", "opencv-python-headless", "numpy", "aiomqtt")
    parts = ", ".join(f"{name} {version(name)}" for name in packages)
    cores = os.cpu_count()
    return f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, {parts}"


def _markdown(row: Row) -> str:
    verdict = {True: "ok", False: "**missed**", None: ""}[row.ok]
    cells = (row.what, row.bound, row.measured, verdict, row.detail)
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
