"""The cost gate: what the runtime adds to a packet, counted in instructions, not in seconds."""

from collections.abc import Callable

import pytest

from benchmarks import instructions


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_runtime_costs_a_packet_little_more_than_a_loop(
    system_program: Callable[[str, str], str],
) -> None:
    """Four stages, against the same calls by hand: at most 25,000 instructions more."""
    system_program("valgrind", "valgrind")
    [row] = instructions.rows()
    print(f"\n{row}")
    assert row.ok, str(row)
