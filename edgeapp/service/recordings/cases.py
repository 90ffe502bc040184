"""Test cases of pipelines: what comes in, what is to come out, and how the two differ.

A case is a file `<name>.test.yaml`. It names a pipeline and, unless the pipeline's own sources can
be played (files, drawn pictures), a recording. What is expected stands in `<name>.expected.jsonl`.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from edgeapp.config.device import DeviceConfig
from edgeapp.config.pipeline import Settings
from edgeapp.config.validate import Subject, validate
from edgeapp.core.clock import ns
from edgeapp.core.context import Context, Log
from edgeapp.core.plugin import InputPath, Options, Surroundings
from edgeapp.core.stage import Emit
from edgeapp.document.reader import read_file
from edgeapp.document.tree import Table, kind_of
from edgeapp.errors import Complaint, ConfigError, Place
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.plan.load import load
from edgeapp.runtime.pipeline import Outcome
from edgeapp.runtime.status import PipelineStatus, status_of
from edgeapp.runtime.stepped import run_stepped
from edgeapp.service.recordings.dry_run import PatientClock, Said, dry, without_effects
from edgeapp.service.recordings.recording import Recording
from edgeapp.service.recordings.replay import plan_of, replay

ENDING = ".test.yaml"
_EXPECTED = ".expected.jsonl"
_SEED = 0
_MOST_SHOWN = 8


class CaseFile(Settings):
    """What a test case says."""

    about: str = Field("", description="What it shows.")
    pipeline: InputPath = Field(description="The pipeline file, relative to this one.")
    recording: InputPath | None = Field(
        None,
        description="A recording to play in place of the pipeline's sources, relative to this file.",
    )
    sets: tuple[str, ...] = Field(
        (), alias="set", description="Options to change first, as in [belt.rate_hz=30]."
    )
    for_s: float = Field(
        60.0,
        gt=0,
        description="Without a recording: how much stream time of each source to play at most.",
    )
    within: float = Field(0.0, ge=0, description="How far a number may be from the expected one.")


@dataclass(frozen=True, slots=True)
class Case:
    """A test case."""

    file: Path
    settings: CaseFile

    @property
    def name(self) -> str:
        """What its file is called."""
        return self.file.name.removesuffix(ENDING)

    @property
    def expected(self) -> Path:
        """The file with the messages that are to come."""
        return self.file.with_name(self.name + _EXPECTED)


def cases_in(folder: Path) -> list[Path]:
    """The files of all test cases in a folder and below it."""
    return sorted(folder.rglob(f"*{ENDING}"))


def read_case(file: Path) -> Case:
    """Read a test case.

    Raises:
        ConfigError: the file cannot be read or is wrong; every mistake found.
    """
    root = read_file(file)
    if not isinstance(root, Table):
        problem = (
            f"a test case has keys such as pipeline and recording, but this is {kind_of(root)}"
        )
        raise ConfigError([Complaint(root.place, problem)])
    found: list[Complaint] = []
    folder = file.absolute().parent
    subject = Subject("", "a test case", Place(str(file)))
    settings = validate(CaseFile, root, subject, found=found, context=Surroundings(folder, folder))
    if found or settings is None:
        raise ConfigError(found)
    return Case(file, settings)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a pipeline said in a test case."""

    lines: tuple[str, ...]
    trouble: tuple[str, ...]
    """Sentences on what went wrong on the way: no such case can pass."""


def run_case(case: Case, device: DeviceConfig, log: Log) -> Answer:
    """Run a test case, stepped; nothing is sent, written or switched.

    Raises:
        ConfigError: the pipeline cannot run; every mistake.
        RecordingError: the recording is damaged or of other sources.
        OSError: a file cannot be read.
    """
    settings = case.settings
    lines: list[str] = []

    def say(said: Said) -> None:
        lines.append(said.line.decode("utf-8", "replace"))

    if settings.recording is None:
        [plan] = load([settings.pipeline], sets=settings.sets, device=device)
        outcome, status, gave_up = _play_sources(plan, settings.for_s, log, say)
    else:
        recording = Recording(settings.recording)
        plan = plan_of(
            recording,
            pipeline=settings.pipeline,
            folder=None,
            sets=settings.sets,
            device=device,
        )
        outcome, status = replay(recording, without_effects(plan)[0], log=log, say=say)
        gave_up = False
    return Answer(tuple(lines), tuple(_trouble(outcome, status, gave_up=gave_up)))


def _play_sources(
    plan: Plan, for_s: float, log: Log, say: Callable[[Said], None]
) -> tuple[Outcome, PipelineStatus, bool]:
    stages = {stage.id: _bounded(stage, for_s) for stage in plan.stages.values()}
    plan, _ = without_effects(replace(plan, stages=stages))
    clock = PatientClock()
    with dry(plan, seed=_SEED, log=log, say=say, clock=clock) as pipeline:
        outcome = run_stepped(pipeline)
        return outcome, status_of(pipeline), clock.gave_up


def _trouble(outcome: Outcome, status: PipelineStatus, *, gave_up: bool) -> Iterator[str]:
    if outcome.ending == "failed":
        yield f"the pipeline failed: {outcome.why}"
    for stage in status.stages:
        if stage.faults:
            times = "time" if stage.faults == 1 else "times"
            yield f"stage '{stage.id}' raised {stage.faults} {times}; its log is above"
        if stage.waiting_for is not None:
            yield f"stage '{stage.id}' is not available: {stage.waiting_for}"
        elif gave_up and stage.kind == "source":
            yield f"the source '{stage.id}' stopped giving anything, but did not end"


class _EnoughError(BaseException):
    """Ends a source; a BaseException, so that its `except Exception` does not keep it."""


class _Bounded:
    """A source that ends after some stream time."""

    def __init__(
        self, factory: Callable[..., Any], most_ns: int, options: Options, context: Context
    ) -> None:
        self._source = factory(options, context)
        self._clock = context.clock
        self._most_ns = most_ns

    def run(self, emit: Emit[Any], /) -> None:
        """Run the source until it ends, or has given enough."""
        first_ns: int | None = None

        def bounded(
            value: Any, /, *, t_ns: int | None = None, span_ns: int = 0, lost: int = 0
        ) -> None:
            nonlocal first_ns
            at_ns = self._clock.now_ns() if t_ns is None else t_ns
            if first_ns is None:
                first_ns = at_ns - span_ns
            if at_ns - first_ns > self._most_ns:
                raise _EnoughError
            emit(value, t_ns=t_ns, span_ns=span_ns, lost=lost)

        with ExitStack() as stack:
            if hasattr(self._source, "__enter__"):
                stack.enter_context(self._source)
            try:
                self._source.run(bounded)
            except _EnoughError:
                return


def _bounded(stage: StagePlan, for_s: float) -> StagePlan:
    if stage.plugin.kind != "source":
        return stage
    factory: Any = partial(_Bounded, stage.plugin.factory, ns(for_s))
    return replace(stage, plugin=replace(stage.plugin, factory=factory))


# -- comparing ------------------------------------------------------------------------------


def differences(expected: list[str], got: list[str], *, within: float) -> list[str]:
    """What is wrong with the messages that came, in sentences; none when all is as expected.

    The first message that differs is shown field by field; the rest is a count.
    """
    wrong = [
        number
        for number, (one, other) in enumerate(zip(expected, got, strict=False))
        if one != other and list(_fields("", _parsed(one), _parsed(other), within))
    ]
    said = []
    if wrong:
        first = wrong[0]
        one, other = _parsed(expected[first]), _parsed(got[first])
        rows = list(_fields("", one, other, within))
        said.append(f"message {first + 1}, {_name(other)}, is not as expected:")
        said += [f"  {row}" for row in rows[:_MOST_SHOWN]]
        if len(rows) > _MOST_SHOWN:
            said.append(f"  and {len(rows) - _MOST_SHOWN} more differences in it")
        if len(wrong) > 1:
            others = len(wrong) - 1
            said.append(f"{others} more message{'s'[: others != 1]} differ")
    if len(expected) != len(got):
        wanted = "message was" if len(expected) == 1 else "messages were"
        said.append(f"{len(expected)} {wanted} expected, {len(got)} came")
        longer, what = (expected, "missing") if len(expected) > len(got) else (got, "unexpected")
        said.append(f"the first that is {what}: {longer[min(len(expected), len(got))]}")
    return said


def _parsed(line: str) -> Any:
    """A message without its id: that only counts, so one more message would change all others."""
    try:
        message = json.loads(line)
    except ValueError:
        return line
    if isinstance(message, dict):
        message.pop("id", None)
    return message


def _name(message: Any) -> str:
    if not isinstance(message, dict) or "stage" not in message:
        return "which is no result"
    return f"of {message['stage']} (seq {message.get('seq')})"


def _fields(path: str, expected: Any, got: Any, within: float) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in {**expected, **got}:
            at = f"{path}.{key}" if path else key
            if key not in got:
                yield f"{at}: expected {json.dumps(expected[key])}, it is missing"
            elif key not in expected:
                yield f"{at}: not expected, got {json.dumps(got[key])}"
            else:
                yield from _fields(at, expected[key], got[key], within)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for place, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from _fields(f"{path}[{place}]", one, other, within)
    elif not _same(expected, got, within):
        yield f"{path or 'all'}: expected {json.dumps(expected)}, got {json.dumps(got)}"


def _same(expected: Any, got: Any, within: float) -> bool:
    numbers = isinstance(expected, int | float) and isinstance(got, int | float)
    if not numbers or isinstance(expected, bool) or isinstance(got, bool):
        return type(expected) is type(got) and bool(expected == got)
    return bool(expected == got or abs(expected - got) <= within)
