"""Models of a few hundred bytes, made on the spot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

MakeModel = Callable[..., Path]


def made_in(folder: Path) -> MakeModel:
    """Write a model with one node, `y = op(x, factor)` or `y = op(x)`, and return its file."""

    def make(
        name: str,
        *,
        factor: float | None = None,
        op: str = "Mul",
        shape: tuple[int | str, ...] = (1, 3),
        gives: tuple[int | str, ...] | None = None,
        takes_type: int = TensorProto.FLOAT,
        gives_type: int | None = None,
        **model: Any,
    ) -> Path:
        names = ["x"] if factor is None else ["x", "factor"]
        known = [] if factor is None else [helper.make_tensor("factor", 1, [], [factor])]
        out_type = takes_type if gives_type is None else gives_type
        graph = helper.make_graph(
            [helper.make_node(op, names, ["y"], domain=model.pop("domain", ""))],
            "tiny",
            [helper.make_tensor_value_info("x", takes_type, shape)],
            [helper.make_tensor_value_info("y", out_type, shape if gives is None else gives)],
            initializer=known,
        )
        opsets = model.pop("opsets", [("", 13)])
        made = helper.make_model(
            graph,
            ir_version=model.pop("ir_version", 8),
            opset_imports=[helper.make_opsetid(*opset) for opset in opsets],
        )
        assert not model, f"unknown: {model}"
        file = folder / name
        onnx.save(made, file)
        return file

    return make


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """As `made_in`, in the test's own folder."""
    return made_in(tmp_path)
