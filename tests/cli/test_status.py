"""What `edgeapp status` says of health, beside what its rows say."""

from typing import Any

from edgeapp.cli.status import _lines


def facts(**health: Any) -> dict[str, Any]:
    pipeline = {"pipeline": "porch", "silent": [], "last_fault": None, **health}
    return {
        "device": "porch-1",
        "version": "0.1.0",
        "up_s": 90.0,
        "start": {"mode": "normal", "why": "", "id": ""},
        "health": {"health": "ill", "pipelines": [pipeline]},
        "pipelines": [{"name": "porch", "state": "running", "why": "", "stages": []}],
    }


def test_the_first_line_ends_with_a_word() -> None:
    assert next(_lines(facts())) == "porch-1: edgeapp 0.1.0, up 1:30, ill"


def test_silence_and_the_last_fault_stand_below_the_pipeline() -> None:
    fault = {"stage": "blink", "said": "OSError: \x1b[2Jno such device", "ago_s": 90.0, "count": 2}
    lines = list(_lines(facts(silent=["camera"], last_fault=fault)))
    assert lines[-2:] == [
        "  silent: camera",
        "  last fault 1:30 ago, blink: OSError: �[2Jno such device",
    ]


def test_one_that_is_well_has_no_such_lines() -> None:
    assert len(list(_lines(facts()))) == 4


def test_that_there_is_no_pipeline_is_said() -> None:
    """As after a reload that removed the last one."""
    assert list(_lines({**facts(), "pipelines": [], "health": None}))[1:] == ["no pipelines"]
