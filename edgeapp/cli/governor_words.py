"""What the watchdog does, in a line or two for people."""

from collections.abc import Iterator, Mapping
from typing import Any

LEVEL_COLORS = {"nominal": "green", "fair": "yellow", "serious": "red", "critical": "red"}


def governor_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """The state of the governor, as `edgeapp status` and the live view show it."""
    from edgeapp.cli.words import span

    said = [f"watchdog: {facts['level']}"]
    if facts["die_celsius"] is not None:
        said.append(f"die {facts['die_celsius']:.1f} °C")
    if facts["headroom_ratio"] is not None:
        said.append(f"headroom {facts['headroom_ratio']:.2f}")
    if facts["trip_in_s"] is not None:
        said.append(f"too hot in {span(facts['trip_in_s'])}")
    chosen, allowed = facts["chosen_cores"], facts["allowed_cores"]
    if chosen <= allowed:
        said.append(f"pipelines take {chosen:.2f} of {allowed:.2f} cores")
    else:  # it holds for the next half minute
        said.append(f"pipelines take {chosen:.2f} cores, {allowed:.2f} would hold for good")
    if facts["detectors"]:
        said.append(f"found: {', '.join(facts['detectors'])}")
    if facts["infeasible"]:
        said.append("even the least is too much")
    yield ", ".join(said)
    if facts["binding"] != "none":
        yield f"  held back by {_BINDING.get(facts['binding'], facts['binding'])}: {facts['reason']}"
    if facts["not_measured"]:
        names = ", ".join(facts["not_measured"])
        yield f"  what it costs is unknown: {names}; measure it with 'edgeapp bench'"


_BINDING = {
    "heat_30s": "heat (30 s ahead)",
    "heat_300s": "heat (5 minutes ahead)",
    "cpu": "load",
    "sensors": "its sensors",
    "fault": "a fault of its own",
}
