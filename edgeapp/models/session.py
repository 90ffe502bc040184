"""Models in memory: one onnxruntime session per file, shared by every stage that leases it.

The only importer of onnxruntime. Sessions use one thread and never spin: with the defaults a small
model at 30 frames a second costs twenty times the CPU. `Run` is concurrent, so nothing locks it.
"""

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeapp.core.clock import Clock, ns
from edgeapp.core.stage import Tensors, TensorSpec, TensorSpecs
from edgeapp.errors import Complaint, ConfigError
from edgeapp.models.refusals import first_line, problem_of

# Before the import: wheels from 1.29 on contact a server and write into the home directory.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

OLDEST_ONNXRUNTIME = (1, 25, 1)
"""Older ones open weights outside the model's folder."""
LINGER_S = 30.0
"""How long a session stays loaded after its last lease."""

_FATAL_ONLY = 4  # onnxruntime writes anything less severe to stderr by itself
_BATCH_AXIS = 0
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(uint16)": "uint16",
    "tensor(int16)": "int16",
    "tensor(uint32)": "uint32",
    "tensor(int32)": "int32",
    "tensor(uint64)": "uint64",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


def _refuse_old(version: str) -> None:
    numbers = tuple(int(digits) for digits in re.findall(r"\d+", version)[:3])
    if numbers < OLDEST_ONNXRUNTIME:
        oldest = ".".join(map(str, OLDEST_ONNXRUNTIME))
        raise ConfigError(
            [
                Complaint(
                    None,
                    f"onnxruntime {version} is too old: it reads files outside a model's folder",
                    f"install onnxruntime {oldest} or newer",
                )
            ]
        )


_refuse_old(onnxruntime.__version__)
onnxruntime.set_default_logger_severity(_FATAL_ONLY)


def inspect(file: Path) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
    """Return what a model takes and what it gives, by name, without making it ready to run.

    Outputs that are no numeric tensors are left out.

    Raises:
        ValueError: the file cannot be used as a model; one sentence that begins with its name.
    """
    raw = _load(file, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    return _inputs(raw, file), _outputs(raw)


Look = Callable[[TensorSpecs, TensorSpecs], Tensors]
"""Sees what a model takes and gives; returns what its inputs hold at first, zeros left out."""


def _zeros_in_all(_inputs: TensorSpecs, _outputs: TensorSpecs) -> Tensors:
    return {}


class Session:
    """One lessee's hold on a model: its own input tensors, the shared model behind them.

    For one thread at a time. The output tensors of `run` are valid until the next `run`.
    """

    def __init__(self, raw: Any, file: Path, look: Look) -> None:
        self.inputs: TensorSpecs = _inputs(raw, file)
        self.outputs: TensorSpecs = _outputs(raw)
        initial = look(self.inputs, self.outputs)
        self.into: Tensors = {
            name: _first(spec, initial.get(name), name, file) for name, spec in self.inputs.items()
        }
        """The input tensors, C-contiguous; write into them, then `run`."""
        self._file = file
        self._raw = raw
        self._names = list(self.outputs)
        self._binding, self._bound = _bind(raw, self.into, self.outputs)

    def run(self) -> Tensors:
        """Run the model on what stands in `into` and return its outputs by name."""
        if self._binding is not None:
            self._raw.run_with_iobinding(self._binding)
            return self._bound
        return dict(zip(self._names, self._raw.run(self._names, self.into), strict=True))

    def warm_up(self, runs: int = 1) -> Tensors:
        """Run so often on what stands in `into`: a model's first run allocates and is slow.

        Raises:
            ValueError: the model does not run; one sentence that begins with the file's name.
        """
        try:
            for _ in range(runs - 1):
                self.run()
            return self.run()
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no common base
            if self._binding is None:
                problem = f"'{self._file.name}' does not run: {first_line(error)}"
                raise ValueError(problem) from None
        self._binding = None  # some models declare an output shape that is not the real one
        return self.warm_up(runs)


_Identity = tuple[str, int, int]


@dataclass(slots=True)
class _Entry:
    loading: threading.Lock = field(default_factory=threading.Lock)
    raw: Any = None
    leases: int = 0
    idle_since_ns: int = 0


class Pool:
    """The models in memory: one session per file, whoever leases it; one pool per process.

    A session lingers for `LINGER_S` after its last lease, so that a step back up the ladder is
    quick; it leaves at the next `lease` or `sweep` after that. Safe from any thread; loading one
    model never holds up the lease of another.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._entries: dict[_Identity, _Entry] = {}

    def __len__(self) -> int:
        """How many models are in memory, or on their way."""
        return len(self._entries)

    @contextmanager
    def lease(self, file: Path, look: Look = _zeros_in_all) -> Iterator[Session]:
        """Load the model unless it is in memory, and hold it there.

        A file that was replaced (other size or time of change) is another model. `look` is called
        once, before the input tensors are made; a ValueError of its own passes.

        Raises:
            ValueError: the file cannot be used as a model; one sentence that begins with its name.
        """
        self.sweep()
        identity = _identity(file)
        with self._lock:
            entry = self._entries.setdefault(identity, _Entry())
            entry.leases += 1
        try:
            with entry.loading:
                if entry.raw is None:
                    entry.raw = _load(file, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
            yield Session(entry.raw, file, look)
        finally:
            with self._lock:
                self._give_up(entry)

    def hold(self, files: Iterable[Path]) -> Callable[[], None]:
        """Keep those of these models that are in memory there, until the call that is returned."""
        identities = set()
        for file in files:
            with suppress(ValueError):
                identities.add(_identity(file))
        with self._lock:
            held = [entry for key, entry in self._entries.items() if key in identities]
            for entry in held:
                entry.leases += 1

        def let_go() -> None:
            with self._lock:
                for entry in held:
                    self._give_up(entry)
                held.clear()

        return let_go

    def sweep(self) -> None:
        """Let go of the models that nobody leased for `LINGER_S`."""
        self._let_go(LINGER_S)

    def _give_up(self, entry: _Entry) -> None:
        """End a lease. Under the lock."""
        entry.leases -= 1
        entry.idle_since_ns = self._clock.now_ns()
        if entry.raw is None and not entry.leases:  # it could not be loaded
            self._entries = {key: one for key, one in self._entries.items() if one is not entry}

    def take_turn(self) -> bool:
        """Whether a model may be loaded beside the lanes now; if so, `end_turn` must follow.

        One at a time: loading takes a core, and several at once heat the device more than what they
        are loaded for.
        """
        return self._turn.acquire(blocking=False)

    def end_turn(self) -> None:
        """Let another stage load. Any thread."""
        self._turn.release()

    def give_back(self) -> None:
        """Let go of all models that nobody leases: memory is short."""
        self._let_go(0.0)

    def _let_go(self, idle_s: float) -> None:
        with self._lock:
            before_ns = self._clock.now_ns() - ns(idle_s)
            gone = [
                self._entries.pop(identity)
                for identity, entry in list(self._entries.items())
                if not entry.leases and entry.idle_since_ns <= before_ns
            ]
        gone.clear()  # freed here, after the lock: that takes a while for a large model


def _identity(file: Path) -> _Identity:
    try:
        state = file.stat()
    except OSError as error:
        raise ValueError(f"'{file.name}' cannot be read: {error.strerror}") from None
    return str(file.resolve()), state.st_size, state.st_mtime_ns


def _load(file: Path, level: Any) -> Any:
    _identity(file)
    if not file.is_file():
        raise ValueError(f"'{file.name}' is no file")
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = level
    settings.intra_op_num_threads = 1
    settings.inter_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.inter_op.allow_spinning", "0")
    settings.enable_cpu_mem_arena = False  # 10 % less memory at the same speed
    settings.log_severity_level = _FATAL_ONLY
    try:
        # The fall-back would only try the same again, and print.
        return onnxruntime.InferenceSession(
            str(file.resolve()), settings, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no common base
        raise ValueError(f"'{file.name}' {problem_of(error, onnxruntime.__version__)}") from None


def _shape(dimensions: list[int | str | None]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in dimensions)


def _inputs(raw: Any, file: Path) -> dict[str, TensorSpec]:
    for node in raw.get_inputs():
        if node.type not in _DTYPES:
            raise ValueError(f"'{file.name}' wants {node.type} as '{node.name}', not numbers")
    return {n.name: TensorSpec(_shape(n.shape), _DTYPES[n.type]) for n in raw.get_inputs()}


def _outputs(raw: Any) -> dict[str, TensorSpec]:
    return {
        node.name: TensorSpec(_shape(node.shape), _DTYPES[node.type])
        for node in raw.get_outputs()
        if node.type in _DTYPES
    }


def _first(spec: TensorSpec, given: NDArray[Any] | None, name: str, file: Path) -> NDArray[Any]:
    """An input tensor with what it holds at first: what is given, else zeros."""
    if given is None:
        return _zeros(_fixed(spec, name, file), spec.dtype, file)
    if not spec.fits(given):
        raise ValueError(
            f"'{file.name}' takes {spec} as '{name}', not {list(given.shape)} {given.dtype}"
        )
    return np.array(given, order="C")


def _fixed(spec: TensorSpec, name: str, file: Path) -> tuple[int, ...]:
    """The shape of an input tensor: an open batch is 1, anything else must be fixed."""
    sizes = list(spec.shape)
    if sizes and sizes[_BATCH_AXIS] is None:
        sizes[_BATCH_AXIS] = 1
    fixed = tuple(size for size in sizes if size is not None)
    if len(fixed) != len(sizes):
        raise ValueError(
            f"'{file.name}' leaves the shape of its input '{name}' open: {spec}; "
            "export it with a fixed shape (only the first dimension, the batch, may be open)"
        )
    return fixed


def _zeros(shape: tuple[int, ...], dtype: str, file: Path) -> NDArray[Any]:
    try:
        return np.zeros(shape, dtype)
    except (MemoryError, ValueError):
        wanted = " x ".join(map(str, shape))
        problem = f"'{file.name}' wants an input of {wanted} {dtype}, more than there is memory"
        raise ValueError(problem) from None


def _bind(raw: Any, into: Tensors, outputs: TensorSpecs) -> tuple[Any, Mapping[str, NDArray[Any]]]:
    """Bind input and output memory once where every output's shape is known beforehand.

    A third of a tiny model's run is saved (15 µs), and nothing is lost with a large one.
    Returns no binding where a shape is open.
    """
    if any(None in spec.shape for spec in outputs.values()):
        return None, {}
    binding = raw.io_binding()
    for name, array in into.items():
        binding.bind_cpu_input(name, array)
    bound: dict[str, NDArray[Any]] = {}
    for name, spec in outputs.items():
        bound[name] = np.empty(_closed(spec), spec.dtype)
        value = onnxruntime.OrtValue.ortvalue_from_numpy(bound[name])
        binding.bind_ortvalue_output(name, value)
    return binding, bound


def _closed(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(size for size in spec.shape if size is not None)
