"""What monitoring can be told, as Prometheus metrics: which there are, and their values.

`METRICS` is the contract: names, units, labels. Values come from the same snapshots as everything
else that is told of the device. Labels are bounded: names of the configuration, and fixed words.
"""

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from edgeapp import __version__
from edgeapp.runtime.status import PipelineStatus, StageStatus, State
from edgeapp.service.monitoring.health import SilenceOf, losses_of
from edgeapp.uplink.notices import GovernorNotice, HealthWord
from edgeapp.uplink.outbox import Reason
from edgeapp.watchdog import detectors

Kind = Literal["counter", "gauge", "histogram"]

BOUNDS_S = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75),
    *(1.0, 2.0, 5.0, 10.0, 30.0),
)
"""Buckets of ages."""
_BOUNDS_NS = [round(bound * 1e9) for bound in BOUNDS_S]


class Metric(NamedTuple):
    """One metric, as it is documented and told."""

    kind: Kind
    labels: tuple[str, ...]
    help: str


_STAGE = ("pipeline", "stage", "kind")
_OF_STAGE = ("pipeline", "stage")

METRICS: Mapping[str, Metric] = {
    # The device.
    "edgeapp_build_info": Metric("gauge", ("version", "python"), "Always 1."),
    "edgeapp_uptime_seconds": Metric("gauge", (), "Since the process started."),
    "edgeapp_health": Metric("gauge", ("health",), "1 for the word that says how the device is."),
    "edgeapp_clock_synchronized": Metric(
        "gauge", (), "Whether the kernel knows the wall clock to be right."
    ),
    "edgeapp_disk_free_bytes": Metric("gauge", (), "Where the data directory is."),
    "edgeapp_disk_size_bytes": Metric("gauge", (), "Where the data directory is."),
    # Pipelines.
    "edgeapp_pipeline_state": Metric("gauge", ("pipeline", "state"), "1 for the state it is in."),
    "edgeapp_stage_answered_packets_total": Metric(
        "counter", _STAGE, "Packets answered, perhaps with nothing; of a source: given."
    ),
    "edgeapp_stage_emitted_packets_total": Metric(
        "counter", _STAGE, "Packets handed on; by a sink: acted upon, or told of."
    ),
    "edgeapp_stage_dropped_packets_total": Metric(
        "counter", (*_STAGE, "reason"), "Packets let go though they were wanted."
    ),
    "edgeapp_stage_shed_packets_total": Metric(
        "counter", _STAGE, "Packets let go on purpose, to do less."
    ),
    "edgeapp_stage_waiting_packets": Metric("gauge", _STAGE, "Packets that wait before it."),
    "edgeapp_stage_faults_total": Metric("counter", _STAGE, "How often it raised."),
    "edgeapp_stage_busy_seconds_total": Metric("counter", _STAGE, "Time spent inside of it."),
    "edgeapp_stage_age_seconds": Metric(
        "histogram",
        _STAGE,
        "How old packets were once answered, from capture; models, actions and outputs.",
    ),
    # Sources.
    "edgeapp_source_lost_packets_total": Metric(
        "counter", _OF_STAGE, "Packets that the device lost before they came in."
    ),
    "edgeapp_source_silent": Metric("gauge", _OF_STAGE, "1 while a live source gives nothing."),
    "edgeapp_source_silences_total": Metric("counter", _OF_STAGE, "How often it fell silent."),
    "edgeapp_source_quiet_seconds": Metric(
        "gauge", _OF_STAGE, "How long a live source has given nothing; 0 where it need not."
    ),
    # Models.
    "edgeapp_model_rung": Metric("gauge", _OF_STAGE, "Position on the ladder; 0 is the best."),
    "edgeapp_model_rungs": Metric("gauge", _OF_STAGE, "Variants on the ladder."),
    "edgeapp_model_divisor": Metric(
        "gauge", _OF_STAGE, "One packet of so many is answered; 0: none."
    ),
    "edgeapp_model_pinned": Metric("gauge", _OF_STAGE, "1 while somebody holds it there."),
    "edgeapp_model_late_answers_total": Metric(
        "counter", _OF_STAGE, "Answers that were older than deadline_ms when they were there."
    ),
    # The uplink.
    "edgeapp_uplink_connected": Metric("gauge", (), "Whether the broker is connected."),
    "edgeapp_uplink_reconnects_total": Metric("counter", (), "Connections after the first one."),
    "edgeapp_uplink_retries_total": Metric(
        "counter", (), "Messages sent again, as the broker did not take them."
    ),
    "edgeapp_uplink_offered_messages_total": Metric("counter", (), "Messages of this run."),
    "edgeapp_uplink_found_messages_total": Metric(
        "counter", (), "Messages of earlier runs that were on the disk at the start."
    ),
    "edgeapp_uplink_sent_messages_total": Metric("counter", (), "Acknowledged by the broker."),
    "edgeapp_uplink_replayed_messages_total": Metric(
        "counter", (), "Of these, those that had waited."
    ),
    "edgeapp_uplink_refused_messages_total": Metric(
        "counter", (), "Messages that the broker will never take."
    ),
    "edgeapp_uplink_dropped_messages_total": Metric(
        "counter", ("reason",), "Messages that were taken in and let go."
    ),
    "edgeapp_outbox_waiting_messages": Metric("gauge", (), "In memory and on the disk."),
    "edgeapp_outbox_in_flight_messages": Metric("gauge", (), "Sent and not yet acknowledged."),
    "edgeapp_outbox_backlog_messages": Metric("gauge", (), "Of those waiting, to be replayed."),
    "edgeapp_outbox_oldest_seconds": Metric("gauge", (), "How long the oldest one waits."),
    "edgeapp_outbox_memory_bytes": Metric("gauge", (), "Messages in memory."),
    "edgeapp_outbox_dead_messages": Metric("gauge", (), "Refused for good, and kept aside."),
    "edgeapp_outbox_problem": Metric(
        "gauge", (), "1 while messages are in memory alone though they should be on the disk."
    ),
    "edgeapp_outbox_committed_messages_total": Metric("counter", (), "Written to the disk."),
    "edgeapp_outbox_written_bytes_total": Metric("counter", (), "Written to the disk."),
    # The watchdog.
    "edgeapp_governor_level": Metric("gauge", ("level",), "1 for how the device bears it."),
    "edgeapp_governor_binding": Metric("gauge", ("binding",), "1 for what forbids to do more."),
    "edgeapp_governor_detector": Metric("gauge", ("detector",), "1 for what is found wrong."),
    "edgeapp_governor_infeasible": Metric("gauge", (), "1: even the least is too much."),
    "edgeapp_governor_die_celsius": Metric("gauge", (), "Temperature of the die."),
    "edgeapp_governor_forecast_celsius": Metric(
        "gauge", ("ahead",), "Forecast for the die: ahead 30s, 300s."
    ),
    "edgeapp_governor_headroom_ratio": Metric(
        "gauge", (), "Of the forecast: 1 where the hardware slows down, 0 at 30 K below."
    ),
    "edgeapp_governor_allowed_cores": Metric("gauge", (), "What all pipelines may use."),
    "edgeapp_governor_chosen_cores": Metric("gauge", (), "What they are expected to use."),
    "edgeapp_governor_utility_ratio": Metric(
        "gauge", (), "What the answers are worth, of the best there could be."
    ),
    "edgeapp_governor_swaps_last_hour": Metric("gauge", (), "Changes of a model."),
    # The process, by the names that all Prometheus clients use.
    "process_cpu_seconds_total": Metric("counter", (), "User and system CPU time."),
    "process_resident_memory_bytes": Metric("gauge", (), "Resident memory."),
    "process_open_fds": Metric("gauge", (), "Open file descriptors."),
    "process_max_fds": Metric("gauge", (), "The most that may be open."),
    "edgeapp_process_threads": Metric("gauge", (), "Threads of the process."),
}

_GOVERNED = {field.name: field.type for field in msgspec.structs.fields(GovernorNotice)}
LEVELS: tuple[str, ...] = get_args(_GOVERNED["level"])
BINDINGS: tuple[str, ...] = get_args(_GOVERNED["binding"])
DETECTORS: tuple[str, ...] = (
    detectors.THROTTLING,
    detectors.FIRMWARE,
    detectors.CONTENTION,
    detectors.PRESSURE,
    detectors.QUOTA,
    detectors.MEMORY,
    detectors.UNDERVOLTAGE,
    detectors.OVERCURRENT,
    "fault",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is told, at one moment."""

    statuses: Sequence[PipelineStatus]
    health: HealthWord
    up_s: float
    silences: SilenceOf
    uplink: Mapping[str, Any] | None = None
    """As of `uplink_facts`; None: there is none."""
    governor: Mapping[str, Any] | None = None
    """As of `governor_facts`; None: nobody governs."""
    machine: Mapping[str, float] | None = None
    """As of `machine_facts`."""


Value = tuple[str, tuple[str, ...], float]
"""Name, values of the labels, value."""


def values(facts: Facts) -> Iterator[Value]:
    """Every number but the histograms, by the names of `METRICS`."""
    yield "edgeapp_build_info", (__version__, platform.python_version()), 1
    yield "edgeapp_uptime_seconds", (), facts.up_s
    yield from _one_of("edgeapp_health", (), facts.health, get_args(HealthWord))
    for name, value in (facts.machine or {}).items():
        yield name, (), value
    for pipeline in facts.statuses:
        yield from _one_of(
            "edgeapp_pipeline_state", (pipeline.name,), pipeline.state, get_args(State)
        )
        for stage in pipeline.stages:
            yield from _of_stage((pipeline.name, stage.id), stage)
    for key, silence in facts.silences.items():
        yield "edgeapp_source_silent", key, silence.silent
        yield "edgeapp_source_silences_total", key, silence.count
        yield "edgeapp_source_quiet_seconds", key, silence.quiet_s
    if facts.uplink is not None:
        yield from _of_uplink(facts.uplink)
    if facts.governor is not None:
        yield from _of_governor(facts.governor)


def _of_stage(key: tuple[str, str], stage: StageStatus) -> Iterator[Value]:
    labels = (*key, stage.kind)
    yield "edgeapp_stage_answered_packets_total", labels, stage.done
    yield "edgeapp_stage_emitted_packets_total", labels, stage.emitted
    yield "edgeapp_stage_shed_packets_total", labels, stage.shed
    yield "edgeapp_stage_waiting_packets", labels, stage.waiting
    yield "edgeapp_stage_faults_total", labels, stage.faults
    yield "edgeapp_stage_busy_seconds_total", labels, stage.busy_ns / 1e9
    for reason, count in losses_of(stage, lost=False).items():
        yield "edgeapp_stage_dropped_packets_total", (*labels, reason), count
    if stage.kind == "source":
        yield "edgeapp_source_lost_packets_total", key, stage.lost
    if stage.setting is not None:
        yield "edgeapp_model_rung", key, stage.setting.rung
        yield "edgeapp_model_rungs", key, stage.rungs
        yield "edgeapp_model_divisor", key, stage.setting.divisor
        yield "edgeapp_model_pinned", key, stage.pinned
        yield "edgeapp_model_late_answers_total", key, stage.late


def _of_uplink(uplink: Mapping[str, Any]) -> Iterator[Value]:
    yield "edgeapp_uplink_connected", (), uplink["connected"]
    for name in ("reconnects", "retries"):
        yield f"edgeapp_uplink_{name}_total", (), uplink[name]
    for name in ("offered", "found", "sent", "replayed", "refused"):
        yield f"edgeapp_uplink_{name}_messages_total", (), uplink[f"{name}_messages"]
    for reason in get_args(Reason):  # also those of which there are none: 0 to 1 is a rise, too
        count = uplink["dropped_messages"].get(reason, 0)
        yield "edgeapp_uplink_dropped_messages_total", (reason,), count
    for name in ("waiting", "in_flight", "backlog", "dead"):
        yield f"edgeapp_outbox_{name}_messages", (), uplink[f"outbox_{name}_messages"]
    yield "edgeapp_outbox_oldest_seconds", (), uplink["outbox_oldest_s"]
    yield "edgeapp_outbox_memory_bytes", (), uplink["outbox_memory_bytes"]
    yield "edgeapp_outbox_problem", (), uplink["outbox_problem"] != ""
    yield "edgeapp_outbox_committed_messages_total", (), uplink["outbox_committed_messages"]
    yield "edgeapp_outbox_written_bytes_total", (), uplink["outbox_written_bytes"]


def _of_governor(governor: Mapping[str, Any]) -> Iterator[Value]:
    """What the device does not say is left out."""
    yield from _one_of("edgeapp_governor_level", (), governor["level"], LEVELS)
    yield from _one_of("edgeapp_governor_binding", (), governor["binding"], BINDINGS)
    for detector in DETECTORS:
        yield "edgeapp_governor_detector", (detector,), detector in governor["detectors"]
    yield "edgeapp_governor_infeasible", (), governor["infeasible"]
    told: tuple[tuple[str, tuple[str, ...], float | None], ...] = (
        ("edgeapp_governor_die_celsius", (), governor["die_celsius"]),
        ("edgeapp_governor_forecast_celsius", ("30s",), governor["forecast_30s_celsius"]),
        ("edgeapp_governor_forecast_celsius", ("300s",), governor["forecast_300s_celsius"]),
        ("edgeapp_governor_headroom_ratio", (), governor["headroom_ratio"]),
        ("edgeapp_governor_allowed_cores", (), governor["allowed_cores"]),
        ("edgeapp_governor_chosen_cores", (), governor["chosen_cores"]),
        ("edgeapp_governor_utility_ratio", (), governor["utility_ratio"]),
        ("edgeapp_governor_swaps_last_hour", (), governor["swaps_last_h"]),
    )
    for name, labels, value in told:
        if value is not None:
            yield name, labels, value


def _one_of(name: str, labels: tuple[str, ...], word: str, words: Iterable[str]) -> Iterator[Value]:
    for one in words:
        yield name, (*labels, one), one == word


def render(facts: Facts) -> bytes:
    """All of it in Prometheus' text format.

    Raises:
        ModuleNotFoundError: prometheus-client is not installed.
    """
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )
    from prometheus_client.core import (
        Metric as Family,
    )
    from prometheus_client.exposition import generate_latest
    from prometheus_client.registry import Collector

    families: dict[str, Any] = {}
    for name, metric in METRICS.items():
        kinds = {
            "counter": CounterMetricFamily,
            "gauge": GaugeMetricFamily,
            "histogram": HistogramMetricFamily,
        }
        families[name] = kinds[metric.kind](name, metric.help, labels=metric.labels)
    for name, labels, value in values(facts):
        families[name].add_metric(labels, value)
    for pipeline in facts.statuses:
        for stage in pipeline.stages:
            if stage.kind in {"model", "action", "output"}:
                counts, sum_ns = stage.age.upto(_BOUNDS_NS)
                buckets = [(str(le), n) for le, n in zip(BOUNDS_S, counts, strict=True)]
                buckets.append(("+Inf", sum(stage.age.counts)))
                labels = (pipeline.name, stage.id, stage.kind)
                families["edgeapp_stage_age_seconds"].add_metric(labels, buckets, sum_ns / 1e9)

    class All(Collector):
        def collect(self) -> Iterable[Family]:
            return [family for family in families.values() if family.samples]

    return generate_latest(All())
