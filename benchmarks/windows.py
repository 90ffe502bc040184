"""10,000 vibration windows a second from ten sources: all delivered, and what bursts save.

Ten sensors at 25 kHz in blocks of 50 ms, 1,000 windows of 256 samples a second each. «One by one»
is the same pipeline with the same features, asked for each window singly.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.compare import Row, alternate, at_most, median_ratio, spread

SOURCES = 10
BLOCKS = 100
WINDOWS = SOURCES * ((BLOCKS * 1250 - 256) // 25 + 1)


def pipeline(number: int) -> str:
    """One sensor."""
    return f"""
name: p{number}
stages:
  sensor: {{source: bench_blocks, rate_hz: 25000, block_s: 0.05, count: {BLOCKS}}}
  window: {{transform: window, length_samples: 256, hop_samples: 25}}
  features: {{transform: features}}
  count: {{output: bench_count}}
"""


def run(*, singly: bool) -> None:
    """Run ten pipelines at once, in real time."""
    from benchmarks.apps import Device, Meter, temporary

    if singly:
        from edgeapp.transforms.features import FeaturesOfSignal

        del FeaturesOfSignal.process_many
    with temporary() as folder:
        device = Device(Path(folder))
        app = device.app([pipeline(number) for number in range(SOURCES)])
        with Meter() as meter:
            statuses = device.run_app(app)
    delivered = sum(status.stages[-1].done for status in statuses)
    dropped = sum(sum(stage.dropped.values()) for status in statuses for stage in status.stages)
    meter.say(delivered=delivered, dropped=dropped, us=meter.cpu_s / delivered * 1e6)


def rows() -> list[Row]:
    """Measure."""
    this = Path(__file__).stem
    pairs = alternate([this, "--bursts"], [this, "--singly"])
    delivered = [ours["delivered"] for ours, _ in pairs]
    seconds = [ours["wall_s"] for ours, _ in pairs]
    rate = min(d / s for d, s in zip(delivered, seconds, strict=True))
    return [
        Row(
            "10,000 windows/s from ten sources, delivered",
            f"= {WINDOWS}",
            str(min(delivered)),
            all(d == WINDOWS for d in delivered) and all(not o["dropped"] for o, _ in pairs),
            f"{rate:.0f}/s with opening and closing",
        ),
        at_most(
            "the same, CPU vs one by one",
            median_ratio(pairs, "cpu_s"),
            0.15,
            f"{pairs[-1][0]['us']:.1f} vs {pairs[-1][1]['us']:.1f} us/window, "
            + spread(pairs, "cpu_s"),
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bursts", action="store_true")
    parser.add_argument("--singly", action="store_true")
    given = parser.parse_args()
    if given.bursts or given.singly:
        run(singly=given.singly)
    else:
        for row in rows():
            sys.stdout.write(f"{row}\n")
