"""Emptying the outbox over the control socket's verbs."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edgeapp.core.message import Priority
from edgeapp.runtime.app import App
from edgeapp.service.control.server import RefusedError
from edgeapp.service.control.verbs import Purge, Verbs
from tests.runtime.rig import Rig


def purge(folder: Path, request: dict[str, Any], how: Purge | None) -> dict[str, Any]:
    """The answer to one request."""

    async def ask() -> dict[str, Any]:
        verbs = Verbs(App([], Rig(folder).kit), device="pump-7", say=str, purge=how)
        [frame] = [frame async for frame in verbs.purge(request)]
        return frame.facts

    return asyncio.run(ask())


def test_what_is_asked_for_is_what_is_removed(tmp_path: Path) -> None:
    asked: list[tuple[Sequence[Priority], bool]] = []

    def remove(priorities: Sequence[Priority], *, dead: bool = False) -> int:
        asked.append((priorities, dead))
        return 12

    assert purge(tmp_path, {"classes": ["bulk", "normal"]}, remove) == {"count": 12}
    assert purge(tmp_path, {"classes": [], "dead": True}, remove) == {"count": 12}
    assert asked == [(["bulk", "normal"], False), ([], True)]


@pytest.mark.parametrize("classes", [None, "bulk", ["urgent"], [["bulk"]], [3], {"bulk": 1}])
def test_classes_that_there_are_not_are_refused(classes: object, tmp_path: Path) -> None:
    def remove(priorities: Sequence[Priority], *, dead: bool = False) -> int:
        raise AssertionError(priorities, dead)

    with pytest.raises(RefusedError, match="the classes are critical, normal, bulk"):
        purge(tmp_path, {"classes": classes}, remove)


def test_where_nothing_waits_on_the_disk_and_where_the_disk_hangs(tmp_path: Path) -> None:
    def hang(priorities: Sequence[Priority], *, dead: bool = False) -> int:
        del priorities, dead
        raise TimeoutError("the disk is too slow, or has failed")

    with pytest.raises(RefusedError, match="there is no outbox on the disk"):
        purge(tmp_path, {"classes": ["bulk"]}, None)
    with pytest.raises(RefusedError, match="the disk is too slow"):
        purge(tmp_path, {"classes": ["bulk"]}, hang)
