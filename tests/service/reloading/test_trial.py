"""Whether a pipeline that has just come is well: known in time, and only when it is."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeapp.api import FakeClock
from edgeapp.core.dial import Dial
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.service.reloading.trial import Bad, Trial
from tests.runtime.rig import Rig
from tests.runtime.test_change import named


class Bench:
    """A pipeline that is put into states, and its trial."""

    def __init__(self, rig: Rig) -> None:
        self.clock = FakeClock()
        self.pipeline = Pipeline(named("belt", []), rig.kit)
        self.trial = Trial(self.pipeline, self.clock, 30.0)

    def is_(self, state: str, why: str = "", *, for_s: float = 0.0) -> bool | Bad:
        """What is said once it has been so for so long."""
        if state not in {"stopped", "starting"}:
            self.pipeline.settled.set()
        self.pipeline.state, self.pipeline.why = state, why
        if for_s:
            self.trial.look()
            self.clock.advance(for_s)
        return self.trial.look()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Rig(tmp_path))


def test_it_is_good_once_it_was_well_for_its_time(bench: Bench) -> None:
    """What it took to open is no time in which it was well."""
    assert bench.is_("starting", for_s=29) is False
    assert bench.is_("running", for_s=29) is False
    assert bench.is_("running", for_s=1) is True


def test_what_opens_again_has_its_time_for_that_anew(bench: Bench) -> None:
    assert bench.is_("running", for_s=28) is False
    assert bench.is_("starting", for_s=5) is False
    assert bench.is_("running", for_s=29) is False
    assert bench.is_("running", for_s=1) is True


def test_what_finishes_in_time_is_good(bench: Bench) -> None:
    assert bench.is_("finished", for_s=30) is True


def test_what_failed_is_bad_at_once(bench: Bench) -> None:
    verdict = bench.is_("failed", "stage 'x' keeps raising: KeyError('y')")
    assert verdict == Bad("it failed: stage 'x' keeps raising: KeyError('y')")


def test_what_hangs_is_bad(bench: Bench) -> None:
    slot: Any = SimpleNamespace(id="x", hung_s=lambda _now_ns: 60.0, waiting_for=None)
    bench.pipeline.slots = {"x": slot}
    assert bench.is_("running") == Bad("it is stuck: in one call for too long: x")


def test_what_does_not_open_in_time_is_bad(bench: Bench) -> None:
    assert bench.is_("starting", for_s=29) is False
    assert bench.is_("starting", for_s=1) == Bad("it did not open within 30 s")


def test_what_has_not_even_begun_is_bad_too(bench: Bench) -> None:
    """As where threads of the one before do not come back."""
    assert bench.is_("stopped", for_s=30) == Bad("it did not open within 30 s")


def test_a_camera_that_is_away_is_no_reason_and_proves_nothing(bench: Bench) -> None:
    slot: Any = SimpleNamespace(id="camera", hung_s=lambda _: None, waiting_for="no device 0")
    bench.pipeline.slots = {"camera": slot}
    assert bench.is_("running", for_s=1000) is False
    slot.waiting_for = None
    assert bench.is_("running", for_s=29) is False
    assert bench.is_("running", for_s=2) is True


def test_while_it_is_paused_no_time_goes_by(bench: Bench) -> None:
    bench.pipeline.pause()
    assert bench.is_("paused", for_s=1000) is False
    bench.pipeline.resume()
    assert bench.is_("running", for_s=29) is False
    assert bench.is_("running", for_s=1) is True


def test_a_model_without_a_usable_variant_is_bad(bench: Bench) -> None:
    dial = bench.pipeline.dials["detect"] = Dial(2, bench.clock)
    dial.struck = frozenset({1})
    assert bench.is_("running") is False
    dial.struck = frozenset({0, 1})
    assert bench.is_("running") == Bad("no variant of the model can be used: detect")


def test_its_time_for_opening_stands_in_the_file(bench: Bench) -> None:
    object.__setattr__(bench.pipeline.plan, "grace_s", 3.0)
    assert bench.is_("starting", for_s=3) == Bad("it did not open within 3 s")
