"""Ten minutes at full rate, with ten messages a second: does the process keep more and more?"""

import json
import subprocess
import sys

from benchmarks.compare import REPO, Row

SECONDS = 600


def rows() -> list[Row]:
    """Measure; a quarter of an hour."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.service.soak", str(SECONDS)],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
        timeout=3 * SECONDS,
    )
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    slope, fds, threads = seen["slope_mb_per_h"], seen["fds"], seen["threads"]
    first_mb, last_mb = seen["held_mb"]
    own, own_error = seen["own_slope_mb_per_h"], seen["own_slope_error_mb_per_h"]
    return [
        Row(
            "ten minutes at full rate, growth of the resident memory",
            "<= 1 MB/h",
            f"{slope:+.1f} MB/h",
            slope <= 1,
            f"standard error {seen['slope_error_mb_per_h']} MB/h; after 5 min of warm-up; medians {first_mb} "
            f"MB in the first third, {last_mb} MB in the last; "
            f"{seen['answers']:,} pictures, {seen['unaccounted']} unaccounted for",
        ),
        Row(
            "the same without copies of files, whose pages the kernel takes and gives",
            "<= 1 MB/h",
            f"{own:+.1f} MB/h",
            own <= 1,
            f"standard error {own_error} MB/h; {seen['own_mb'][0]} and {seen['own_mb'][1]} MB",
        ),
        Row(
            "the same, file descriptors and threads",
            "flat",
            f"{fds[0]}..{fds[1]}, {threads[0]}..{threads[1]}",
            seen["fds_kept"][0] == seen["fds_kept"][1] and threads[1] - threads[0] <= 1,
            "descriptors more while state files are written, and a second thread for them where two are due at once",
        ),
    ]


if __name__ == "__main__":
    for row in rows():
        print(row)
