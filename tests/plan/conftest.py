"""A folder of small plugins, and ways to check pipelines that use them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeapp.config.device import DeviceConfig
from edgeapp.errors import ConfigError
from edgeapp.plan.discover import Registry
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load

PLUGINS = '''
from typing import TypeVar

from edgeapp.api import *

T = TypeVar("T", bound=Payload)


class NoOptions(Options):
    speed: float = Field(1.0, gt=0, description="How fast.")


class NeedsOptions(Options):
    level: int = Field(ge=0, description="How much.")
    file: InputPath | None = Field(None, description="A file to read.")


class Base:
    def __init__(self, options: NoOptions, context: Context) -> None:
        pass


@source("cam")
class Cam(Base):
    """Live pictures."""

    def run(self, emit: Emit[Image], /) -> None: ...


@source("sensor")
class Sensor(Base):
    """Live samples."""

    def run(self, emit: Emit[Signal], /) -> None: ...


@source("replay", live=False)
class Replay(Base):
    """Pictures from a file."""

    def run(self, emit: Emit[Image], /) -> None: ...


@source("odd", live=lambda options: options.none)
class Odd(Base):
    """Does not know whether it is live."""

    def run(self, emit: Emit[Image], /) -> None: ...


@transform("shrink", stateless=True)
class Shrink(Base):
    """Stateless pictures."""

    def process(self, packet: Packet[Image]) -> Image: ...


@transform("follow")
class Track(Base):
    """Pictures with memory."""

    def process(self, packet: Packet[Image]) -> Image | None: ...


@transform("count")
class Count:
    """Needs an option."""

    def __init__(self, options: NeedsOptions, context: Context) -> None: ...

    def process(self, packet: Packet[Image]) -> Score: ...


@transform("pass", stateless=True)
class Pass(Base):
    """Anything."""

    def process(self, packet: Packet[T]) -> T | None: ...


@transform("slow")
class Slow(Base):
    """Waits."""

    async def process(self, packet: Packet[Image]) -> Image: ...


@model("guess")
class Guess(Base):
    """A decoder for models with one output of one number."""

    def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None:
        if len(inputs) != 1:
            raise ValueError("it wants a model with one input")

    def feed(self, value: Image, /, *, into: Tensors) -> None: ...

    def decode(self, outputs: Tensors, feed: None, /) -> Detections: ...


@action("act")
class Act(Base):
    """Takes pictures and detections."""

    def act(self, packet: Packet[Image | Detections]) -> None: ...


@output("tell")
class Tell(Base):
    """Takes scores and detections."""

    def encode(self, packet: Packet[Score | Detections]) -> Message | None: ...
'''


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The built-in plugins and some small ones; see PLUGINS."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "small.py").write_text(PLUGINS)
    return Registry(folder)


Check = Callable[..., tuple[Plan, ...]]


@pytest.fixture
def check(tmp_path: Path, registry: Registry) -> Check:
    """Load pipelines from texts, written to a.yaml, b.yaml and so on."""
    device = DeviceConfig("test", tmp_path / "data", None, None)

    def run(*texts: str, sets: tuple[str, ...] = (), open_models: bool = False) -> tuple[Plan, ...]:
        files = [tmp_path / f"{name}.yaml" for name, _ in zip("abcdef", texts, strict=False)]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        return load(files, sets=sets, device=device, open_models=open_models, registry=registry)

    return run


@pytest.fixture
def stages(check: Check) -> Callable[..., Plan]:
    """The plan of a pipeline with these stages, one on each line."""

    def run(*lines: str, sets: tuple[str, ...] = (), open_models: bool = False) -> Plan:
        text = "\n  ".join(["name: test\nstages:", *lines])
        return check(text, sets=sets, open_models=open_models)[0]

    return run


@pytest.fixture
def mistakes(stages: Callable[..., Plan]) -> Callable[..., list[str]]:
    """What is wrong with a pipeline of these stages: "<stage's line>: problem = remedy"."""

    def run(*lines: str, sets: tuple[str, ...] = (), open_models: bool = False) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            stages(*lines, sets=sets, open_models=open_models)
        told = []
        for complaint in caught.value.complaints:
            assert complaint.place
            line = f"{complaint.place.line - 2}: " if complaint.place.line else ""
            remedy = f" = {complaint.remedy}" if complaint.remedy else ""
            told.append(f"{line}{complaint.problem}{remedy}")
        return told

    return run
