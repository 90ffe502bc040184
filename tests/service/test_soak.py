"""A minute at full rate; ten of them, with the slope that was promised, are in `make accept`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.service.soak import soak

GREATEST_GROWTH_MB = 3.0
"""Between the medians of the first third and the last. With nothing growing they were up to 1.7 MB
apart in thirteen minutes; thousands of pictures that left half a kilobyte each would not pass."""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_memory_files_and_threads_are_flat(
    tmp_path: Path, system_program: Callable[[str, str], str]
) -> None:
    broker = Path(system_program("mosquitto", "mosquitto"))
    done = soak(tmp_path, broker, warm_up_s=45, seconds=60)
    print(done)
    first_mb, last_mb = done.held_mb
    assert last_mb - first_mb <= GREATEST_GROWTH_MB, done
    assert done.fds_kept[0] == done.fds_kept[1], done
    assert done.fds[1] - done.fds[0] <= 2, done  # files of state are open while they are written
    # Files of state are written by a second thread where two are due at once; it stays.
    assert done.threads_kept[1] - done.threads_kept[0] <= 1, done
    assert done.threads[1] - done.threads[0] <= 1, done
    assert done.unaccounted == 0
    assert done.answers > 1000, done
