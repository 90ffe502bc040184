"""Trials: one pipeline that meets something bad beside a healthy one that must not notice."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pipelines.device import Running
from tests.servers.mosquitto import wait_until

NEIGHBOUR = """
name: neighbour
stages:
  bearing: {source: bearing, rate_hz: 8000, fault: inner, duration_s: 1.5}
  window: {transform: window, length_s: 0.2, hop_s: 0.02}
  features: {transform: features}
  results: {output: jsonl, file: results.jsonl}
"""
"""1.5 s at the pace of a real sensor: it is at work while the other one has its trouble."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """How a run of the command ended."""

    code: int
    pipelines: dict[str, Row]
    """Of the summary, by name."""
    uplink: Row | None
    events: list[Row]
    """The log."""
    said: list[str]
    """Lines on standard error that are not of the log."""
    answers: list[tuple[Any, ...]]
    """What the neighbour wrote: seq and values, without ids and times."""

    def stage(self, pipeline: str, stage: str) -> Row:
        """A stage's counts."""
        [row] = [row for row in self.pipelines[pipeline]["stages"] if row["id"] == stage]
        return dict(row)

    def told(self, *words: str, level: str | None = None) -> bool:
        """Whether an event has all these words in it."""
        return any(
            all(word in json.dumps(event, ensure_ascii=False) for word in words)
            and level in {None, event["level"]}
            for event in self.events
        )

    @property
    def exceptions(self) -> list[str]:
        """The tracebacks that were logged."""
        return [event["exception"] for event in self.events if "exception" in event]


def attempt(
    folder: Path,
    *pipelines: str,
    arguments: Sequence[str] = (),
    until: Callable[[str], bool] | None = None,
    **device: Any,
) -> Trial:
    """Run the neighbour beside these pipelines, to their end or until the log says enough.

    `until`: given the log so far; once it is true, and the neighbour is finished, SIGTERM is sent.
    Where all have finished by then, it may have ended by itself.
    """
    files = []
    for number, text in enumerate((*pipelines, NEIGHBOUR)):
        file = folder / f"p{number}.yaml"
        file.write_text(text)
        files.append(file)
    with Running(folder, *files, *arguments, **device) as running:
        if until is None:
            code, summary = running.wait()
        else:
            wait_until(
                lambda: (
                    running.ended() or (_neighbour_finished(running.log()) and until(running.log()))
                ),
                f"the log to say enough: {running.log()}",
            )
            assert until(running.log()), running.log()
            code, summary = running.stop()
        log = running.log()
    return _trial(folder, code, summary, log)


def refused(folder: Path, *pipelines: str, arguments: Sequence[str] = (), **device: Any) -> str:
    """Run something that cannot start: what it says on standard error."""
    files = []
    for number, text in enumerate(pipelines):
        file = folder / f"p{number}.yaml"
        file.write_text(text)
        files.append(file)
    return refused_files(folder, *files, arguments=arguments, **device)


def refused_files(
    folder: Path, *files: Path, arguments: Sequence[str] = (), code: int = 78, **device: Any
) -> str:
    """The same, with files that are there already."""
    with Running(folder, *files, *arguments, **device) as running:
        ended_with, summary = running.wait()
        said = running.log()
    assert ended_with == code, said
    assert summary == {}
    assert "Traceback" not in said
    return said


def _neighbour_finished(log: str) -> bool:
    return any(
        '"pipeline": "neighbour"' in line and '"ending": "finished"' in line
        for line in log.splitlines()
    )


def _trial(folder: Path, code: int, summary: Row, log: str) -> Trial:
    events, said = [], []
    for line in log.splitlines():
        if line.startswith("{"):
            events.append(json.loads(line))
        else:
            said.append(line)
    assert summary, log
    results = next(folder.rglob("neighbour/results.jsonl"), None) or next(
        folder.rglob("results.jsonl")
    )
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    answers = [(line["seq"], line["lost"], line["values"]) for line in lines]
    pipelines = {row["name"]: row for row in summary["pipelines"]}
    return Trial(code, pipelines, summary["uplink"], events, said, answers)


def check_counts(trial: Trial) -> None:
    """Every packet is answered or counted, in every pipeline."""
    for pipeline in trial.pipelines.values():
        assert pipeline["unaccounted"] == [], pipeline
        for stage in pipeline["stages"]:
            dropped = sum(stage["dropped"].values())
            assert stage["taken"] + stage["dropped"].get("full", 0) == (
                stage["done"] + dropped + stage["shed"]
            ), stage


def counts(trial: Trial) -> list[tuple[Any, ...]]:
    """The neighbour's counts, stage by stage."""
    names = ("id", "put", "taken", "done", "emitted", "dropped", "shed", "faults", "waiting")
    return [tuple(row[name] for name in names) for row in trial.pipelines["neighbour"]["stages"]]
