"""The state of the uplink as plain data, under names that say their units: for JSON and metrics."""

from typing import Any

from edgeapp.core.clock import NS
from edgeapp.uplink.sender import UplinkStatistics

COUNTERS = frozenset(
    {
        "offered_messages",
        "found_messages",
        "sent_messages",
        "dropped_messages",
        "refused_messages",
        "replayed_messages",
        "retries",
        "reconnects",
        "outbox_committed_messages",
        "outbox_written_bytes",
    }
)
"""Those that only rise, from 0 at the start; every other number is how things are now."""


def uplink_facts(now: UplinkStatistics, *, broker: str, store: str, now_ns: int) -> dict[str, Any]:
    """The uplink to `broker` at the monotonic time `now_ns`; `store`: "disk" or "memory"."""
    outbox = now.outbox
    return {
        "broker": broker,
        "connected": now.connected,
        "protocol": now.protocol,
        "problem": now.problem,
        "since_s": round((now_ns - now.since_ns) / NS, 1),
        "reconnects": now.reconnects,
        "held_states": now.held,
        "offered_messages": outbox.offered,
        "found_messages": outbox.found,
        "sent_messages": outbox.settled,
        "dropped_messages": dict(outbox.dropped),
        "refused_messages": now.refused,
        "retries": now.retries,
        "replayed_messages": now.replayed,
        "replay_per_s": round(now.replay_per_s, 1) if now.connected else 0.0,
        "outbox_store": "memory" if outbox.problem else store,
        "outbox_problem": outbox.problem,
        "outbox_waiting_messages": outbox.waiting,
        "outbox_in_flight_messages": outbox.in_flight,
        "outbox_backlog_messages": outbox.backlog,
        "outbox_oldest_s": round(outbox.oldest_s, 1),
        "outbox_memory_bytes": outbox.waiting_bytes,
        "outbox_committed_messages": outbox.committed,
        "outbox_written_bytes": outbox.bytes_written,
        "outbox_dead_messages": outbox.dead,
    }
