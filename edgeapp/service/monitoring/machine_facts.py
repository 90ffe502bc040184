"""What the process and its disk are at this moment, by the names of the metrics."""

import resource
import shutil
from pathlib import Path

import psutil

from edgeapp.uplink.wall_clock import wall_clock_is_synchronised


def machine_facts(data_dir: Path) -> dict[str, float]:
    """Everything that the system says; what it does not say is left out.

    Waits for the disk: not on the event loop.
    """
    process = psutil.Process()
    with process.oneshot():
        times = process.cpu_times()
        facts: dict[str, float] = {
            "process_cpu_seconds_total": times.user + times.system,
            "process_resident_memory_bytes": process.memory_info().rss,
            "edgeapp_process_threads": process.num_threads(),
            "process_open_fds": process.num_fds(),
            "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        }
    facts["edgeapp_clock_synchronized"] = wall_clock_is_synchronised()
    try:
        usage = shutil.disk_usage(data_dir)
    except OSError:
        return facts
    return {**facts, "edgeapp_disk_free_bytes": usage.free, "edgeapp_disk_size_bytes": usage.total}
