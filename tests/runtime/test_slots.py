"""What a slot costs that is asked for its attributes at every packet."""

import asyncio

import pytest

from edgeapp.runtime.pipeline import Pipeline
from edgeapp.testing import Script, Scripted
from tests.runtime.parts import Awaits, Collect, Double, Say, numbers
from tests.runtime.rig import Rig, chain

FAST = 30
"""Of an object with more attributes CPython 3.11 finds each one more slowly."""


@pytest.mark.parametrize("kind", [Awaits, Double])
def test_slots_keep_to_attributes_that_python_finds_fast(rig: Rig, kind: type) -> None:
    """In use, with all that opening and the first packets add, and room for one by `tune`."""
    plan = chain(
        ("source", Scripted, {"script": Script(*numbers(3)), "rate_hz": 1000.0}),
        ("middle", kind, {}),
        ("say", Say, {}),
        ("act", Collect, {"into": []}),
        say={"reads": ("middle",)},
        act={"reads": ("middle",)},
    )
    pipeline = Pipeline(plan, rig.kit)
    asyncio.run(pipeline.run_once(asyncio.Event()))
    assert {
        id_: len(vars(slot)) for id_, slot in pipeline.slots.items() if len(vars(slot)) >= FAST
    } == {}
    assert set(pipeline.slots) >= {"middle", "say", "act"}
