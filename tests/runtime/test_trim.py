"""What was freed goes back to the system, where the allocator can do that."""

import ctypes

import pytest

from edgeapp.runtime.trim import trim_memory


def test_the_allocator_is_asked_and_need_not_be_able_to(monkeypatch: pytest.MonkeyPatch) -> None:
    trim_memory()
    asked: list[object] = []

    class Able:
        @staticmethod
        def malloc_trim(keep: int) -> None:
            asked.append(keep)

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Able)
    trim_memory()
    assert asked == [0]
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    trim_memory()
