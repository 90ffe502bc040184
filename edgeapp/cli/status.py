"""`edgeapp status`: how the pipelines are that run on this machine."""

from collections.abc import Iterator, Mapping
from typing import Any

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Flag
from edgeapp.cli.asking import answer

HEALTH_WORDS = {"well": "well", "ill": "ill", "starting": "starting", "safe": "in safe mode"}
_ILL = {"failed", "stuck", "waiting"}


def status(*, device: Device = None, json: Flag = False) -> int:
    """Show the state of what runs.

    Args:
        device: The device file that the running process was given.
        json: Print one JSON object.
    """
    facts = answer(device, "status", window_s=1.0).facts
    if json:
        from json import dumps

        print(dumps(facts, indent=2))
    else:
        print("\n".join(_lines(facts)))
    ill = any(pipeline["state"] in _ILL for pipeline in facts["pipelines"])
    older = facts["start"]["mode"] != "normal" or (facts.get("config") or {}).get("last_good")
    return exits.FAILED if ill or older else exits.OK


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    from edgeapp.cli.words import printable, span
    from edgeapp.service.starts.start import Start

    health = facts.get("health") or {}
    word = f", {HEALTH_WORDS[health['health']]}" if health else ""
    yield f"{facts['device']}: edgeapp {facts['version']}, up {span(facts['up_s'])}{word}"
    start = Start(**facts["start"])
    if start.sentence():
        yield printable(start.sentence())
        yield "  once it is mended: edgeapp reload"
    yield from map(printable, _config_lines(facts.get("config")))
    if facts.get("uplink"):
        from edgeapp.cli.uplink_words import uplink_lines

        yield from uplink_lines(facts["uplink"])
    if facts.get("governor"):
        from edgeapp.cli.governor_words import governor_lines

        yield from map(printable, governor_lines(facts["governor"]))
    if not facts["pipelines"]:
        yield "no pipelines"
    for pipeline in facts["pipelines"]:
        yield ""
        why = f": {pipeline['why']}" if pipeline["why"] else ""
        yield printable(f"{pipeline['name']} {pipeline['state']}{why}")
        yield f"  {'stage':<16}{'per s':>8}{'p50 ms':>9}{'p99 ms':>9}  last, and what was let go"
        for stage in pipeline["stages"]:
            yield printable(_row(stage)).rstrip()
        for each in health.get("pipelines", ()):
            if each["pipeline"] == pipeline["name"]:
                yield from map(printable, _health_lines(each))


def _health_lines(health: Mapping[str, Any]) -> Iterator[str]:
    """What no row of a stage says."""
    from edgeapp.cli.words import span

    if health["silent"]:
        yield f"  silent: {', '.join(health['silent'])}"
    if fault := health["last_fault"]:
        yield f"  last fault {span(fault['ago_s'])} ago, {fault['stage']}: {fault['said']}"


def _config_lines(config: Mapping[str, Any] | None) -> Iterator[str]:
    """How what runs differs from what is written."""
    if config is None:
        return
    if config["refused"]:
        yield f"the last reload was refused: {config['refused']}"
    for one in config["last_good"]:
        yield f"{one['pipeline']} runs the last good {one['file']}, not what it says: {one['why']}"
    if config["restart_needed"]:
        yield "the device file has changed, which takes a restart"


def _row(stage: Mapping[str, Any]) -> str:
    from edgeapp.cli.words import milliseconds, rate, reasons

    said = [stage["last"]] if stage.get("last") else []
    if stage.get("variant"):
        pinned = ", pinned" if stage["pinned"] else ""
        divided = {0: ", closed", 1: ""}.get(stage["divisor"], f", one in {stage['divisor']}")
        said.append(f"[{stage['variant']}{divided}{pinned}]")
    if stage.get("waiting_for"):
        said.append(f"waiting: {stage['waiting_for']}")
    if stage["dropped"]:
        said.append(f"dropped {reasons(stage['dropped'])}")
    if stage["faults"]:
        said.append(f"{stage['faults']:,} faults")
    return (
        f"  {stage['id']:<16.16}{rate(stage['rate_hz']):>8}{milliseconds(stage['p50_ms']):>9}"
        f"{milliseconds(stage['p99_ms']):>9}  {'; '.join(said)}"
    )
