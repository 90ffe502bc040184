"""Goes through all checks, each within its time; one that breaks or hangs ends no other."""

import queue
import threading
from collections.abc import Iterator, Sequence

from edgeapp.document.render import clean
from edgeapp.service.doctor import board, broker, configuration, devices, software, storage, unit
from edgeapp.service.doctor.case import Case
from edgeapp.service.doctor.finding import Check, Finding, unseen

CHECK_S = 20.0
"""How long one check may take."""

CHECKS: tuple[Check, ...] = (
    *unit.CHECKS,
    *configuration.CHECKS,
    *devices.CHECKS,
    *broker.CHECKS,
    *storage.CHECKS,
    *board.CHECKS,
    *software.CHECKS,
)
"""In the order of the report: what is wanted of the device first, then what it stands on."""


def examine(
    case: Case, checks: Sequence[Check] = CHECKS, *, most_s: float = CHECK_S
) -> Iterator[Finding]:
    """The findings of each check, as they come."""
    for check in checks:
        name = check.__name__.replace("_", " ")
        answers: queue.SimpleQueue[list[Finding]] = queue.SimpleQueue()
        # As a daemon it does not hold up the end of the process: a driver may never answer.
        threading.Thread(target=_work, args=(check, name, case, answers), daemon=True).start()
        try:
            findings = answers.get(timeout=most_s)
        except queue.Empty:
            findings = [unseen(name, f"this took longer than {most_s:.0f} s and was left")]
        for finding in findings:
            yield Finding(finding.check, finding.verdict, clean(finding.said), clean(finding.fix))


def _work(check: Check, name: str, case: Case, answers: "queue.SimpleQueue[list[Finding]]") -> None:
    found: list[Finding] = []
    try:
        found.extend(check(case))
    except OSError as error:
        where = f" '{error.filename}'" if error.filename else ""
        found.append(unseen(name, f"this may not be looked at:{where} {error.strerror or error}"))
    except Exception as error:  # noqa: BLE001  a doctor that falls over helps nobody
        found.append(unseen(name, f"a bug kept this from being looked at: {error!r}"))
    answers.put(found)
