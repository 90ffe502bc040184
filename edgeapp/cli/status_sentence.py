"""How it goes, in one sentence for `systemctl status`: trouble first, and never longer than it reads well."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgeapp.cli import words
from edgeapp.runtime.app import App
from edgeapp.runtime.status import PipelineStatus, State
from edgeapp.service.recent import Recent

MOST_PIPELINES = 6
_LONGEST = 90
"""Characters that one pipeline may take."""
_TROUBLE: tuple[State, ...] = ("stuck", "failed", "waiting", "starting", "paused")
"""The worst first; what comes in no such state comes after them."""

Facts = Callable[[], Mapping[str, Any] | None]


class StatusSentence:
    """Says how an application is doing; to be asked every few seconds."""

    def __init__(self, app: App, governor: Facts, uplink: Facts, *, first: str = "") -> None:
        """Prepare. `governor`, `uplink`: their states as plain data; None: there is none.

        `first`: what is to be said before all else.
        """
        self._app = app
        self._first = first
        self._governor = governor
        self._uplink = uplink
        self._recent = Recent()

    def __call__(self) -> str:
        """The sentence, with rates since a few seconds ago."""
        pipelines = self._app.status()
        self._recent.add(self._app.kit.clock.now_ns() / 1e9, pipelines)
        said = sentence(pipelines, self._recent, self._governor(), self._uplink())
        return f"{self._first}; {said}" if self._first else said


def sentence(
    pipelines: Sequence[PipelineStatus],
    recent: Recent,
    governor: Mapping[str, Any] | None,
    uplink: Mapping[str, Any] | None,
) -> str:
    """Such as "porch 14.8/s at person-416, 71 °C, outbox 0"."""
    ranked = sorted(pipelines, key=_rank)
    said = [_short(_pipeline(one, recent)) for one in ranked[:MOST_PIPELINES]]
    if not pipelines:
        said.append("no pipelines")
    if len(ranked) > MOST_PIPELINES:
        said.append(f"{len(ranked) - MOST_PIPELINES} more")
    celsius = None if governor is None else governor["die_celsius"]
    if celsius is not None:
        said.append(f"{celsius:.0f} °C")
    if uplink is not None:
        if not uplink["connected"]:
            said.append("broker away")
        waiting = uplink["outbox_waiting_messages"] + uplink["outbox_in_flight_messages"]
        said.append(f"outbox {waiting:,}")
    return ", ".join(said)


def _rank(pipeline: PipelineStatus) -> int:
    state = pipeline.state
    return _TROUBLE.index(state) if state in _TROUBLE else len(_TROUBLE)


def _pipeline(pipeline: PipelineStatus, recent: Recent) -> str:
    name, why = pipeline.name, words.printable(pipeline.why)
    if pipeline.state == "waiting":
        return f"{name} waiting for {why}"
    if pipeline.state != "running":
        return f"{name} {pipeline.state}: {why}" if why else f"{name} {pipeline.state}"
    models = [stage for stage in pipeline.stages if stage.kind == "model"]
    counted = models or [stage for stage in pipeline.stages if stage.kind == "source"]
    rates = ", ".join(words.rate(recent.pace(name, s.id).rate_hz) for s in counted[:1])
    variants = " and ".join(stage.variant for stage in models if stage.variant)
    return f"{name} {rates}/s at {variants}" if variants else f"{name} {rates}/s"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
