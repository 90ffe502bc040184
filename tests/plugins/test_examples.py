"""The examples in plugins/: each passes the check in a pipeline, and does what it says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.api import BadPacket, Features, Packet, PluginError, Score, Signal, TensorSpec
from edgeapp.config.device import DeviceConfig
from edgeapp.core.plugin import KINDS
from edgeapp.plan.discover import Registry
from edgeapp.plan.load import load
from edgeapp.testing.stage import context, run_source, run_stage

NS = 1_000_000_000


@pytest.fixture(scope="module")
def registry(repo: Path) -> Registry:
    """The plugins of the drop-in folder, and the built-in ones."""
    return Registry(repo / "plugins")


Get = Callable[[str], type[Any]]


@pytest.fixture
def get(registry: Registry) -> Get:
    """The class of an example, by its name."""

    def find(name: str) -> type[Any]:
        [kind] = [kind for kind in KINDS if registry.has(kind, name)]
        return registry.find(kind, name).factory

    return find


def packet(value: Any, t_s: float = 0.0, *, seq: int = 0, lost: int = 0) -> Packet[Any]:
    return Packet(value, "s", 0, seq, 0, round(t_s * NS), 0, 0, lost, ())


def test_there_is_one_example_for_each_kind(registry: Registry, repo: Path) -> None:
    files = {str(file) for file in (repo / "plugins").glob("*.py")}
    plugins = [registry.find(kind, name) for kind, name in registry.keys()]  # noqa: SIM118 - no mapping

    examples = [plugin for plugin in plugins if plugin.where in files]
    assert sorted(p.kind for p in examples) == sorted(KINDS)
    assert len(files) == len(KINDS)
    for plugin in examples:
        assert plugin.summary.endswith(".")
        assert all(f.description for f in plugin.options.model_fields.values())


def test_all_of_them_fit_into_pipelines(registry: Registry, repo: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    file = tmp_path / "a.yaml"
    file.write_text(
        "name: examples\nstages:\n"
        "  board:   {source: board_temperature, rate_hz: 0.5}\n"
        "  second:  {transform: window, length_samples: 10}\n"
        "  strange: {model: reconstruction, usual_error: 0.1, variants: [model.onnx]}\n"
        "  calm:    {transform: smooth, over_s: 30}\n"
        "  light:   {action: led, led: ACT}\n"
        "  numbers: {transform: features, from: second}\n"
        "  history: {output: influx, measurement: pump, class: bulk}\n"
    )
    device = DeviceConfig("d", tmp_path, repo / "plugins", None)

    [plan] = load([file], device=device, open_models=False, registry=registry)

    assert plan.stages["board"].live


def test_board_temperature_reads_the_kernels_file(get: Get, tmp_path: Path) -> None:
    file = tmp_path / "temp"
    file.write_text("48312\n")

    ran = run_source(get("board_temperature"), {"file": file, "rate_hz": 2.0}, limit=3)

    assert [float(v.samples[0, 0]) for v in ran.values] == pytest.approx([48.312] * 3, abs=1e-4)
    assert ran.values[0].units == ("°C",)
    steps = np.diff([p.t_ns for p in ran.packets])
    assert steps.tolist() == [NS // 2, NS // 2]


def test_smooth_follows_a_step_to_63_percent_in_its_time(get: Get) -> None:
    scores = [0.0, *[1.0] * 100]
    packets = [packet(Score(v), t_s=0.1 * i, seq=i) for i, v in enumerate(scores)]

    out = run_stage(get("smooth"), {"over_s": 10.0}, packets).values

    assert out[0].value == 0.0
    assert out[-1].value == pytest.approx(1 - np.exp(-1), abs=1e-9)


def test_smooth_starts_afresh_after_a_loss_and_waits_for_learning(get: Get) -> None:
    packets = [
        packet(Score(0.0, ready=False), seq=0),
        packet(Score(0.0), 1, seq=1),
        packet(Score(5.0), 2, seq=3, lost=1),
    ]

    out = run_stage(get("smooth"), {}, packets).values

    assert [score.value for score in out] == [0.0, 5.0]


def _signal(rows: list[list[float]]) -> Signal:
    names = tuple("xyz"[: len(rows)])
    return Signal(np.array(rows, np.float32), 100.0, names, ("m/s²",) * len(rows))


def test_reconstruction_scores_the_error_against_the_usual_one(get: Get) -> None:
    cls = get("reconstruction")
    decoder = cls(cls.__init__.__annotations__["options"](usual_error=0.5), context())
    spec = {"in": TensorSpec((1, 2, 3), "float32")}
    decoder.accept(spec, {"out": TensorSpec((1, 2, 3), "float32")})
    into = {"in": np.zeros((1, 2, 3), np.float32)}
    signal = _signal([[1, 2, 3], [4, 5, 6]])

    feed = decoder.feed(signal, into=into)
    score = decoder.decode({"out": into["in"] + np.float32(1.0)}, feed)

    assert np.array_equal(into["in"][0], signal.samples)
    assert score.value == pytest.approx(2.0)
    assert score.parts == pytest.approx({"x": 1.0, "y": 1.0})


def test_reconstruction_refuses_other_models_and_other_windows(get: Get) -> None:
    cls = get("reconstruction")
    decoder = cls(cls.__init__.__annotations__["options"](usual_error=0.5), context())
    good = TensorSpec((1, 1, 3), "float32")

    with pytest.raises(ValueError, match="one input and one output"):
        decoder.accept({"a": good, "b": good}, {"c": good})
    with pytest.raises(ValueError, match=r"must be float32 of shape \(1, channels, samples\)"):
        decoder.accept({"a": good}, {"c": TensorSpec((1, 4), "float32")})
    decoder.accept({"a": good}, {"c": good})
    with pytest.raises(BadPacket, match="set the window's length_samples"):
        decoder.feed(_signal([[1, 2]]), into={"a": np.zeros((1, 1, 3), np.float32)})


def test_led_is_on_while_the_score_is_high_and_off_in_the_end(get: Get, tmp_path: Path) -> None:
    light = tmp_path / "ACT" / "brightness"
    light.parent.mkdir()
    light.write_text("1")
    cls = get("led")
    options = cls.__init__.__annotations__["options"](led="ACT", above=1.0, folder=tmp_path)

    seen = []
    with cls(options, context()) as led:
        seen.append(light.read_text())
        for value, ready in ((0.5, True), (2.0, True), (2.0, False), (3.0, True)):
            led.act(packet(Score(value, ready=ready)))
            seen.append(light.read_text())

    assert seen == ["0", "0", "1", "0", "1"]
    assert light.read_text() == "0"


def test_led_names_cannot_leave_the_folder_of_lights(get: Get) -> None:
    options = get("led").__init__.__annotations__["options"]

    with pytest.raises(ValueError, match="pattern"):
        options(led="../../etc")


def test_influx_writes_line_protocol(get: Get) -> None:
    features = Features(np.array([0.5, np.nan, 2.0]), ("x.rms", "x.peak", "y rms"), ("g", "g", "g"))
    empty = Features(np.array([np.inf]), ("x",), ("g",))

    messages = run_stage(
        get("influx"), {"measurement": "pump 7"}, [packet(features), packet(empty, seq=1)]
    ).messages

    assert [(m.body, m.binary) for m in messages] == [
        (rb"pump\ 7,pipeline=test,stage=stage x.rms=0.5,y\ rms=2.0", True)
    ]


def test_examples_do_not_shadow_built_ins(registry: Registry) -> None:
    for kind, name in registry.keys():  # noqa: SIM118 - no mapping
        try:
            registry.find(kind, name)
        except PluginError as error:
            raise AssertionError(kind, name) from error
