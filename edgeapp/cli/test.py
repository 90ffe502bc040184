"""`edgeapp test`: whether pipelines say of their inputs what is expected."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Flag
from edgeapp.core.whole_file import write_whole
from edgeapp.errors import Complaint, ConfigError

if TYPE_CHECKING:
    from edgeapp.config.device import DeviceConfig
    from edgeapp.core.context import Log
    from edgeapp.service.recordings.cases import Case

_HOW_TO = """\
there is no test case in '{folder}'. One is a file such as door.test.yaml:
  pipeline: door.yaml
  recording: door.edgerec     # by 'edgeapp record door.yaml'
'edgeapp test {folder} --update' then writes what comes now as what is expected"""


@dataclass(slots=True)
class _Result:
    """How one case went."""

    case: str
    file: str
    passed: bool
    messages: int = 0
    problems: list[str] = field(default_factory=list)
    updated: bool = False


def run_cases(
    folder: Annotated[Path, Parameter(metavar="DIR")] = Path(),
    /,
    *,
    update: Flag = False,
    device: Device = None,
    json: Flag = False,
) -> int:
    """Run test cases.

    Args:
        folder: Where the cases are (*.test.yaml), also in folders below; or one such file.
        update: Write what comes as what is expected from now on.
        device: The device file, for its drop-in plugins; else device.yaml beside the pipeline.
        json: Print one JSON object.
    """
    from edgeapp.cli.run import one_thread_each

    one_thread_each()
    from edgeapp.service.logs import set_up
    from edgeapp.service.recordings.cases import ENDING, cases_in, read_case

    if not folder.exists():
        raise exits.Quit(exits.NO_INPUT, f"there is no folder '{folder}'")
    files = [folder] if folder.is_file() else cases_in(folder)
    if not files or not files[0].name.endswith(ENDING):
        raise exits.Quit(exits.NO_INPUT, _HOW_TO.format(folder=folder))
    log = set_up("warning")
    results: list[_Result] = []
    mistakes: list[Complaint] = []
    for file in files:
        try:
            case = read_case(file)
            result = _run(case, _device(case, device), log, update=update)
        except ConfigError as error:
            mistakes += error.complaints
            result = _Result(file.name.removesuffix(ENDING), str(file), passed=False)
            result.problems = [complaint.problem for complaint in error.complaints]
        results.append(result)
        if not json:
            print("\n".join(_lines(result)), flush=True)
    passed = all(result.passed for result in results)
    if json:
        from json import dumps

        print(dumps({"ok": passed, "cases": [asdict(result) for result in results]}, indent=2))
    else:
        _sum_up(results)
    if mistakes and not json:
        from edgeapp.cli.outcome import complain

        return complain(ConfigError(dict.fromkeys(mistakes)), starts=False)
    return exits.OK if passed else exits.FAILED


def _device(case: "Case", named: Path | None) -> "DeviceConfig":
    from edgeapp.config.device import read_device

    beside = case.settings.pipeline.parent / "device.yaml"
    return read_device(named or (beside if beside.is_file() else None))


def _run(case: "Case", device: "DeviceConfig", log: "Log", *, update: bool) -> _Result:
    from edgeapp.service.recordings.cases import differences, run_case
    from edgeapp.service.recordings.recording import RecordingError

    result = _Result(case.name, str(case.file), passed=False)
    try:
        answer = run_case(case, device, log)
        got = list(answer.lines)
        result.messages = len(got)
        result.problems = list(answer.trouble)
        if update and not result.problems:
            write_expected(case, got)
            result.updated = True
        elif not case.expected.exists():
            result.problems.append(
                f"there is no '{case.expected.name}': '--update' writes the {len(got)} messages "
                "that came"
            )
        else:
            expected = case.expected.read_text(encoding="utf-8").splitlines()
            result.problems += differences(expected, got, within=case.settings.within)
    except RecordingError as error:
        result.problems.append(str(error))
    except UnicodeDecodeError:
        result.problems.append(f"'{case.expected.name}' is no text")
    except OSError as error:
        result.problems.append(f"'{error.filename}': {error.strerror}")
    result.passed = not result.problems
    return result


def write_expected(case: "Case", lines: Sequence[str]) -> None:
    """Take these messages as what is expected of a case, from now on.

    Raises:
        OSError: they cannot be written.
    """
    write_whole(case.expected, "".join(f"{line}\n" for line in lines).encode())


def _lines(result: _Result) -> list[str]:
    from edgeapp.cli.words import plural, printable

    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    word = "ok  " if result.passed else "FAIL"
    if color:
        word = f"\x1b[{32 if result.passed else 31}m{word}\x1b[0m"
    what = f"{word} {result.case}: {plural(result.messages, 'message')}"
    if result.updated:
        what += ", now expected"
    return [what, *(f"     {printable(problem)}" for problem in result.problems)]


def _sum_up(results: list[_Result]) -> None:
    from edgeapp.cli.words import plural

    failed = sum(not result.passed for result in results)
    said = f"{plural(len(results), 'case')}, "
    print(f"{said}{failed} failed" if failed else f"{said}all passed")
