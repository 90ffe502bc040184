"""Nobody asks for wall time but those who must: timers, order and ages are monotonic."""

import ast
from collections.abc import Iterator
from pathlib import Path

ALLOWED = {
    "uplink/wall_clock.py": "the one place where monotonic time becomes wall time",
    "uplink/run_number.py": "a number to go on from where the disk holds none",
    "uplink/mqtt/client.py": "hands it to the watch over the certificate, which expires by wall time",
    "uplink/mqtt/tls.py": "tells when a certificate has expired",
    "cli/calibrate.py": "notes when something was measured",
    "cli/costs.py": "notes when something was measured",
    "cli/support_bundle.py": "names a file for people by when it was made",
    "service/doctor/machine.py": "looks whether the wall clock can be right",
}

ASKING = {
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "strftime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
"""What gives wall time, by what it is called on."""
CONVERTING = {"localtime": 1, "gmtime": 1, "ctime": 1, "asctime": 1, "strftime": 2}
"""Of these, what only converts a time when it gets so many arguments."""


def asks(source: str) -> list[str]:
    """Where wall time is asked for: called, or handed on as a function to be called."""
    return [f"line {line}: {what}" for line, what in sorted(_asks(ast.parse(source)))]


def _asks(tree: ast.AST) -> Iterator[tuple[int, str]]:
    converted = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            wanted = CONVERTING.get(node.func.attr)
            if wanted is not None and len(node.args) >= wanted:
                converted.add(id(node.func))
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            for name in node.names:
                if name.name in ASKING["time"]:
                    yield node.lineno, f"from time import {name.name}"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or id(node) in converted:
            continue
        on = node.value
        owner = (
            on.id if isinstance(on, ast.Name) else on.attr if isinstance(on, ast.Attribute) else ""
        )
        if node.attr in ASKING.get(owner.lstrip("_"), ()):
            yield node.lineno, f"{owner}.{node.attr}"


def test_only_those_who_must_ask_for_wall_time(repo: Path) -> None:
    found = {
        str(path.relative_to(repo / "edgeapp")): said
        for path in sorted((repo / "edgeapp").rglob("*.py"))
        if (said := asks(path.read_text(encoding="utf-8")))
    }
    unexpected = {path: said for path, said in found.items() if path not in ALLOWED}
    assert not unexpected
    assert set(ALLOWED) == set(found), "take from the list what no longer asks"


def test_asking_is_recognised() -> None:
    source = """
import time, datetime as dt
from time import time_ns
a = time.time()
b = wait(clock=time.time)
c = datetime.now(UTC)
d = dt.datetime.now()
e = time.gmtime()
f = time.strftime("%H")
fine = time.monotonic_ns(), time.gmtime(5), time.strftime("%H", now), clock.now()
"""
    assert asks(source) == [
        "line 3: from time import time_ns",
        "line 4: time.time",
        "line 5: time.time",
        "line 6: datetime.now",
        "line 7: datetime.now",
        "line 8: time.gmtime",
        "line 9: time.strftime",
    ]
