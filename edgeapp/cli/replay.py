"""`edgeapp replay`: what a pipeline says of a recording, the same every time."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Flag, Sets, existing

if TYPE_CHECKING:
    from edgeapp.runtime.pipeline import Outcome
    from edgeapp.runtime.status import PipelineStatus
    from edgeapp.service.recordings.dry_run import Said
    from edgeapp.service.recordings.recording import Recording

Folder = Annotated[Path | None, Parameter(metavar="DIR")]


def replay(
    file: Annotated[Path, Parameter(metavar="RECORDING")],
    /,
    *,
    pipeline: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    folder: Folder = None,
    sets: Sets = (),
    any_model: Flag = False,
    device: Device = None,
    json: Flag = False,
) -> int:
    """Replay a recording.

    Args:
        file: A file that `record` wrote; also a .part that was cut off.
        pipeline: Another pipeline to replay into, instead of the recorded one.
        folder: Where relative paths of the recorded pipeline start, such as those of its models.
        sets: Change an option first, such as detect.min_score=0.6. Can be given several times.
        any_model: Go on with other models than those of the recording.
        device: The device file, for its drop-in plugins.
        json: Print a summary as the last line, as one JSON object.
    """
    existing([file])
    if pipeline is not None:
        existing([pipeline])
    from edgeapp.cli.run import one_thread_each

    one_thread_each()
    from edgeapp.config.device import read_device
    from edgeapp.service.logs import set_up
    from edgeapp.service.recordings import replay as player
    from edgeapp.service.recordings.dry_run import without_effects
    from edgeapp.service.recordings.recording import Recording, RecordingError

    try:
        recording = Recording(file)
        plan = player.plan_of(
            recording, pipeline=pipeline, folder=folder, sets=sets, device=read_device(device)
        )
        if pipeline is None and not any_model:
            _refuse(player.other_models(recording, plan))
        plan, left_out = without_effects(plan)
        out = _Printer()
        outcome, status = player.replay(
            recording, plan, log=set_up("warning"), say=out, enough=out.is_closed
        )
    except RecordingError as error:
        raise exits.Quit(exits.BAD_DATA, str(error)) from None
    except OSError as error:
        raise exits.Quit(exits.NO_INPUT, f"'{error.filename}': {error.strerror}") from None
    if out.is_closed():
        raise BrokenPipeError
    sys.stdout.flush()
    _summary(recording, outcome, status, out.count, left_out, json=json)
    return exits.FAILED if outcome.ending == "failed" else exits.OK


class _Printer:
    """Prints each message on a line. It is called by a stage, which a closed pipe is no fault of."""

    def __init__(self) -> None:
        self.count = 0
        self._closed = False

    def __call__(self, said: "Said") -> None:
        self.count += 1
        if self._closed:
            return
        try:
            sys.stdout.write(said.line.decode("utf-8", "replace") + "\n")
        except BrokenPipeError:
            self._closed = True

    def is_closed(self) -> bool:
        """Whether nobody reads any more, as behind `| head`."""
        return self._closed


def _refuse(differences: list[str]) -> None:
    if differences:
        raise exits.Quit(
            exits.FAILED,
            "these are not the models of the recording: "
            + "; ".join(differences)
            + ". --any-model replays all the same",
        )


def _summary(
    recording: "Recording",
    outcome: "Outcome",
    status: "PipelineStatus",
    messages: int,
    left_out: tuple[str, ...],
    *,
    json: bool,
) -> None:
    from edgeapp.cli import report, words
    from edgeapp.cli.words import plural, reasons
    from edgeapp.service.facts import facts

    missing = recording.ending.missing if recording.ending else {}
    if json:
        from json import dumps

        summary = {
            "type": "summary",
            "packets": len(recording),
            "messages": messages,
            "ending": outcome.ending,
            "why": outcome.why,
            "cut_off": recording.ending is None,
            "missing": missing,
            "left_out": list(left_out),
            "pipeline": facts(status, say=words.result),
        }
        print(dumps(summary), flush=True)
        return
    said = [f"{plural(messages, 'message')}. {report.sentence(status, outcome)}"]
    if recording.ending is None:
        said.append(
            f"The recording was cut off: {plural(len(recording), 'packet')} of it are whole, "
            f"{recording.unread_bytes:,} bytes behind them are not."
        )
    if missing:
        said.append(f"The recording lacks packets: {reasons(missing)}.")
    if left_out:
        said.append(f"Left out, for they would act: {', '.join(left_out)}.")
    print(f"edgeapp: {' '.join(said)}", file=sys.stderr)
