"""The state of the uplink in words, from its plain data: here, or from a process that was asked."""

from collections.abc import Mapping
from typing import Any

from edgeapp.cli import words
from edgeapp.cli.view import UplinkView

Facts = Mapping[str, Any]


def uplink_view(facts: Facts) -> UplinkView:
    """The connection, and behind it how well messages are kept."""
    state, color, problem = _connection(facts)
    counts = _counts(facts)
    if facts["outbox_store"] == "memory" and not facts["outbox_problem"]:
        told = [counts[0], _waiting(facts), *counts[1:]]
        return UplinkView(state, color, " · ".join([*told, *problem]))
    kept = _kept(facts)
    if problem:
        kept, counts = [*kept, *counts], problem
    kept.append(f"{words.size(facts['outbox_written_bytes'])} written")
    return UplinkView(state, color, " · ".join(counts), f"outbox {' · '.join(kept)}")


def uplink_lines(facts: Facts) -> list[str]:
    """The same for `status`: a line on the connection, and one on the outbox."""
    view = uplink_view(facts)
    return [f"{view.state}: {view.facts}", *([f"  {view.outbox}"] if view.outbox else [])]


def _connection(facts: Facts) -> tuple[str, str, list[str]]:
    broker = facts["broker"]
    if facts["connected"]:
        return f"mqtt {broker} connected", "green", []
    if not facts["problem"]:
        state = "disconnected" if facts["sent_messages"] else "connecting"
        return f"mqtt {broker} {state}", "cyan", []
    problem = words.printable(facts["problem"]).removeprefix(f"broker {broker}: ")
    return f"mqtt {broker} not connected", "yellow", [problem]


def _kept(facts: Facts) -> list[str]:
    said = [_waiting(facts)]
    if facts["outbox_problem"]:
        said.append(f"in memory alone: {words.printable(facts['outbox_problem'])}")
    if facts["connected"] and facts["outbox_backlog_messages"]:
        said.append(f"replaying {words.rate(facts['replay_per_s'])}/s")
    return said


def _waiting(facts: Facts) -> str:
    """What is not yet acknowledged, and since when: "1,234 waiting, oldest 2:03"."""
    waiting = facts["outbox_waiting_messages"] + facts["outbox_in_flight_messages"]
    if not facts["outbox_waiting_messages"]:
        return f"{waiting:,} waiting"
    return f"{waiting:,} waiting, oldest {words.span(facts['outbox_oldest_s'])}"


def _counts(facts: Facts) -> list[str]:
    said = [
        f"{facts['sent_messages']:,} sent",
        f"{sum(facts['dropped_messages'].values()):,} dropped",
    ]
    if facts["refused_messages"]:
        said.append(f"{facts['refused_messages']:,} refused")
    return said
