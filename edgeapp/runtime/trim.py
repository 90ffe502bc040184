"""Giving memory back to the system that was freed within the process."""

import ctypes
from contextlib import suppress


def trim_memory() -> None:
    """Let the allocator give back what it keeps; nothing where it cannot. Takes milliseconds.

    glibc keeps an arena for each of many threads. A reload begins new threads, so that one arena after
    the other would come to hold what a pipeline once had.
    """
    with suppress(AttributeError, OSError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
