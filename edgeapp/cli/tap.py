"""`edgeapp tap`: what comes out of a stage of a running pipeline."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Flag, Period, seconds
from edgeapp.cli.asking import answers

if TYPE_CHECKING:
    from edgeapp.core.payload import Payload
    from edgeapp.service.control.server import Frame

_PERIOD_S = 0.1


def tap(
    stage: Annotated[str, Parameter(metavar="STAGE")],
    /,
    *,
    count: Annotated[int | None, Parameter(metavar="N")] = None,
    every: Period = None,
    save: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    device: Device = None,
    json: Flag = False,
) -> int:
    """Tap a stage.

    Args:
        stage: Id of the stage; pipeline/stage where several pipelines have one of that name.
        count: Stop after so many packets.
        every: At most one packet in this time: 1s, 5m. If not given: ten a second.
        save: Put each picture (PNG) and each array (.npy) into this folder.
        device: The device file that the running process was given.
        json: Print one JSON object a packet, with its numbers.
    """
    if count is not None and count < 1:
        raise exits.Quit(exits.USAGE, "--count is a whole number from 1 on")
    every_s = _PERIOD_S if every is None else seconds(every)
    if save is not None:
        _make(save)
    with suppress(KeyboardInterrupt):  # the way to end it
        _show(stage, count, every_s, save, device, json=json)
    return exits.OK


def _show(
    stage: str,
    count: int | None,
    every_s: float,
    save: Path | None,
    device: Path | None,
    *,
    json: bool,
) -> None:
    left = count
    full = json or save is not None
    wanted = {"stage": stage, "every_s": every_s, "full": full}
    frames = answers(device, "tap", wanted, patient=True)
    next(frames)  # the stage is there
    for frame in frames:
        payload = _payload(frame) if full else None
        files = [] if save is None or payload is None else _saved(save, frame.facts, payload)
        print(_json(frame, payload, files) if json else _line(frame, files), flush=True)
        if left is not None:
            left -= 1
            if not left:
                return


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"the folder '{folder}' cannot be made: {error.strerror}"
        raise exits.Quit(exits.USAGE, problem) from None


def _line(frame: "Frame", files: list[Path]) -> str:
    from edgeapp.cli.words import printable, span

    facts = frame.facts
    which = f"{facts['epoch']}/{facts['seq']}" + (f".{facts['part']}" if facts["part"] else "")
    said = [facts["said"] or facts["payload"]]
    if facts["variant"]:
        said.append(f"[{facts['variant']}]")
    if facts["lost"]:
        said.append(f"[{facts['lost']:,} lost before]")
    if facts["skipped"]:
        said.append(f"[{facts['skipped']:,} not shown]")
    if files:
        said.append("→ " + ", ".join(str(file) for file in files))
    return printable(f"{which:>10}  {span(facts['age_ms'] / 1000):>7}  {'  '.join(said)}")


def _payload(frame: "Frame") -> "Payload":
    from edgeapp.service.recordings.codec import Stored, payload_of, unpack

    arrays = []
    start = 0
    for dtype, shape, coding, size in frame.facts["arrays"]:
        stored = Stored(dtype, tuple(shape), coding, size)
        arrays.append(unpack(stored, frame.data[start : start + size]))
        start += size
    return payload_of(frame.facts["tree"], arrays)


def _json(frame: "Frame", payload: "Payload | None", files: list[Path]) -> str:
    import msgspec

    hidden = {"tree", "arrays", "bytes"}
    facts = {key: value for key, value in frame.facts.items() if key not in hidden}
    facts["values"] = payload
    if files:
        facts["files"] = [str(file) for file in files]
    return msgspec.json.encode(facts, enc_hook=_plain).decode()


_MOST_VALUES = 4096


def _plain(value: object) -> Any:
    """What JSON cannot say by itself: small arrays as lists, large ones by their shape."""
    import numpy as np

    if isinstance(value, np.ndarray):
        if value.size > _MOST_VALUES:
            return {"shape": list(value.shape), "dtype": str(value.dtype)}
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(type(value).__name__)


def _saved(folder: Path, facts: dict[str, Any], payload: "Payload") -> list[Path]:
    """Write the picture of a payload, or its array."""
    import numpy as np

    from edgeapp.core.payload import Image

    name = f"{facts['origin']}-{facts['epoch']}-{facts['seq']:08}-{facts['part']}"
    image = payload if isinstance(payload, Image) else getattr(payload, "image", None)
    try:
        if isinstance(image, Image):
            from edgeapp.core.opencv import cv2

            file = folder / f"{name}.png"
            written, data = cv2.imencode(".png", image.pixels)
            if written:
                file.write_bytes(data.tobytes())
            return [file] if written else []
        for field in ("samples", "values", "planes", "classes", "scores"):
            array = getattr(payload, field, None)
            if isinstance(array, np.ndarray):
                file = folder / f"{name}.npy"
                np.save(file, array, allow_pickle=False)
                return [file]
    except OSError as error:
        problem = f"'{folder}' cannot be written: {error.strerror}"
        raise exits.Quit(exits.FAILED, problem) from None
    return []
