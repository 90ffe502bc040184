"""Mutated pipelines: whatever comes in, a plan or complaints come out, and each complaint renders."""

import json
import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from edgeapp.config.device import DeviceConfig, read_device
from edgeapp.document.reader import read
from edgeapp.document.render import render_all
from edgeapp.document.tree import plain
from edgeapp.errors import ConfigError
from edgeapp.plan.discover import Registry
from edgeapp.plan.load import load

CONFIGS = 20_000
SEED = 20_261

SEEDS = (
    """\
name: porch
about: Say so when a person comes to the door.
stages:
  camera:   {source: camera, device: 0, rate_hz: 15, depth: 2, when_full: drop_oldest}
  half:     {transform: resize, size: [320, 240]}
  detect:
    model: detector
    variants: [{file: a.onnx, min_score: 0.45}, b.onnx]
    deadline_ms: 150
  people:   {transform: keep, label: person, steady_s: 0.5}
  announce: {output: mqtt, class: critical}
""",
    """\
# a pump
name: pump-7
stages:
  bearing:
    source: bearing
    geometry: {balls: 9, ball_mm: 7.94, pitch_mm: 39.04}
  second:   {transform: window, length_s: 1.0, lane: own}
  features: {transform: features, band_hz: [10, 1500]}
  log:      {action: log, timeout_s: 3, hang_s: 60}
""",
    """\
name: gate
about: "Scores, and what becomes of them: a gate."
stages:
  s: {source: bearing}
  f: {transform: features}
  a: {transform: anomaly}
  g: {transform: gate, rise_above: 0.8}
  o: {output: console, from: a, every_s: 2.5}
""",
)

TOKENS = (
    *(
        "",
        " ",
        "\n",
        "\t",
        ":",
        ": ",
        "- ",
        "? ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "#",
        "&a",
        "*a",
        "<<: *a",
    ),
    *("!!python/object:os.system", "!", "%YAML 1.1\n---\n", "---\n", "...\n", "'", '"', "|", ">-"),
    *(
        "\\",
        "null",
        "~",
        "no",
        "true",
        "12:30:00",
        "010",
        "0x",
        ".inf",
        "-.nan",
        "1e999",
        "-1",
        "0",
    ),
    *("1" * 500, "x" * 5000, "\x00", "\x1b[2J", "\x85", "\u2028", "\ufeff", "\U0001f600", "\u202e"),
    *(
        "from",
        "source",
        "variants",
        "name",
        "stages",
        "depth: 0",
        "when_full: x",
        "../../x",
        "~root",
    ),
    *(
        "[" * 200,
        "{a: " * 200,
        "- " * 200,
        '"\\ud800"',
        '"\\0"',
        "a" * 300 + ": b",
        "$(id)",
        "%s{0}",
    ),
)

VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        10**30,
        10**350,
        0.5,
        -1e308,
        "",
        "x",
        "0",
        "none",
        "a/b",
        "\u0000",
    ),
    *(
        [],
        [[]],
        [1, 2],
        ["x"],
        {},
        {"a": {}},
        {"file": 1},
        "camera",
        "detect",
        "x" * 9999,
        "rtsp://a:b@c",
    ),
)

Mutation = Callable[[random.Random, bytes], bytes]


def _bytes(chance: random.Random, data: bytes) -> bytes:
    """Flip, insert, remove or repeat bytes."""
    mutated = bytearray(data)
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(mutated) + 1)
        end = at + chance.randint(1, 12)
        piece = mutated[at:end]
        mutated[at:end] = chance.choice(
            [b"", piece * 2, bytes([chance.randrange(256)]), piece[::-1], piece.swapcase()]
        )
    return bytes(mutated)


def _tokens(chance: random.Random, data: bytes) -> bytes:
    """Put in what means something to YAML, or to us."""
    text = data.decode()
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(TOKENS) + text[at + chance.choice([0, 0, 1, 5]) :]
    return text.encode("utf-8", "surrogatepass")


def _lines(chance: random.Random, data: bytes) -> bytes:
    """Drop, repeat, move or indent lines."""
    lines = data.splitlines(keepends=True)
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(lines))
        line = lines.pop(at) if len(lines) > 1 else lines[0]
        new = chance.choice(
            [[], [line, line], [b" " * chance.randint(1, 4) + line], [line.lstrip()]]
        )
        lines[at:at] = new
        if chance.random() < 0.3:
            chance.shuffle(lines)
    return b"".join(lines)


@cache
def _as_json(data: bytes) -> str:
    return json.dumps(plain(read(data, "seed")))


def _structure(chance: random.Random, data: bytes) -> bytes:
    """Change keys and values, so that the text is right and only its meaning is wrong."""
    tree = json.loads(_as_json(data))
    for _ in range(chance.randint(1, 2)):
        holders = [node for node in _nodes(tree) if isinstance(node, dict | list) and node]
        holder = chance.choice(holders)
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key: Any = chance.choice(keys)
        match chance.randrange(5):
            case 0:
                holder[key] = chance.choice(VALUES)
            case 1:
                del holder[key]
            case 2:
                holder[key] = [holder[key]]
            case 3 if isinstance(holder, dict):
                holder[chance.choice(["form", "from", "depth", "name", key[:-1], f"{key}x"])] = (
                    holder.pop(key)
                )
            case _:
                holder[key] = json.loads(json.dumps(chance.choice(holders)))
    return json.dumps(tree).encode()


def _nodes(tree: Any) -> list[Any]:
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [tree, *(node for one in inner for node in _nodes(one))]


MUTATIONS: tuple[Mutation, ...] = (_bytes, _tokens, _lines, _structure, _structure)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_mutated_pipelines_become_plans_or_complaints(tmp_path: Path) -> None:
    """20,000 of them; the same ones every time."""
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).touch()
    file, device, registry = (
        tmp_path / "p.yaml",
        DeviceConfig("d", tmp_path, None, None),
        Registry(),
    )
    chance = random.Random(SEED)
    outcomes: Counter[str] = Counter()
    for _ in range(CONFIGS):
        mutate = chance.choice(MUTATIONS)
        data = mutate(chance, chance.choice(SEEDS).encode())
        file.write_bytes(data)
        try:
            [plan] = load([file], device=device, open_models=False, registry=registry)
        except ConfigError as error:
            outcomes["refused"] += 1
            rendered = render_all(error.complaints)
            if not all(c.problem for c in error.complaints) or "\x1b" in rendered:
                raise AssertionError(data) from error
        else:
            outcomes["planned"] += 1
            assert plan.stages
    assert outcomes["planned"] > CONFIGS // 20, "the mutations break everything: they prove little"
    assert outcomes["refused"] > CONFIGS // 4, "the mutations break nothing: they prove little"


DEVICE = b"""\
device: pump-house
data_dir: data
mqtt: {host: broker.local, port: 8883, username: cred:user, password: env:PASSWORD, tls: {}}
"""


@pytest.mark.slow
def test_mutated_device_files_become_configs_or_complaints(tmp_path: Path) -> None:
    """1,000 of them."""
    file = tmp_path / "device.yaml"
    chance = random.Random(SEED)
    outcomes: Counter[str] = Counter()
    for _ in range(1_000):
        file.write_bytes(chance.choice(MUTATIONS)(chance, DEVICE))
        try:
            outcomes[type(read_device(file)).__name__] += 1
        except ConfigError as error:
            outcomes["refused"] += bool(render_all(error.complaints))
    assert outcomes["DeviceConfig"] > 50
    assert outcomes["refused"] > 250
    assert outcomes.total() == 1_000


@pytest.mark.parametrize("text", SEEDS)
def test_what_is_mutated_is_right_to_begin_with(tmp_path: Path, text: str) -> None:
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).touch()
    file = tmp_path / "p.yaml"
    file.write_text(text)

    [plan] = load([file], device=DeviceConfig("d", tmp_path, None, None), open_models=False)

    assert len(plan.stages) >= 4
