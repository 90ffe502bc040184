"""The multispectral source: red and near-infrared pictures of one scene, as bands."""

from typing import Any, Literal, Self

import numpy as np
from pydantic import ConfigDict, field_validator, model_validator

from edgeapp.api import Bands, Context, Emit, Field, Image, Options, Unavailable, source
from edgeapp.core.clock import ns
from edgeapp.core.opencv import cv2
from edgeapp.sources._bands import Pairs
from edgeapp.sources._camera_options import CameraDevice, CameraOptions, DeviceKind, kind_of
from edgeapp.sources._pace import RateLimit, RealTime
from edgeapp.sources.camera import Camera

NAMES = ("red", "nir")
_PLANES = {"blue": 0, "green": 1, "red": 2}
_LIVE = frozenset({DeviceKind.V4L2, DeviceKind.STREAM})
_FALLBACK_PERIOD_NS = 100_000_000
"""Between the rounds of a loop over a single pair."""


class BandOptions(CameraDevice):
    """Where the pictures of one band come from."""

    channel: Literal["grey", "red", "green", "blue"] = Field(
        "grey",
        description="Which channel of the pictures holds the band; grey: all together, as for "
        "pictures without colours.",
    )


class MultispectralOptions(Options):
    """Two cameras, or two channels of one."""

    model_config = ConfigDict(hide_input_in_errors=True)  # an address may hold a password

    red: BandOptions = Field(
        examples=[{"device": "/dev/video0"}],
        description="Where red light comes from: a device as of the source camera, or {device: "
        "..., channel: ...} and what else a camera needs.",
    )
    nir: BandOptions = Field(
        examples=[{"device": "/dev/video1"}],
        description="Where near-infrared light comes from, likewise. The same device with another "
        "channel: one camera that sees both.",
    )
    rate_hz: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Pairs per second at most; the rest is left out. For images: how many per "
        "second (10 if not given).",
    )
    speed: Literal["real_time", "fast"] = Field(
        "real_time", description="Play files at their own pace, or as fast as they are processed."
    )
    loop: bool = Field(False, description="Start files again when they end.")
    skew_ms: float = Field(
        50.0,
        ge=0,
        le=60_000,
        description="Pictures of the two cameras belong together when they were taken at most so "
        "many milliseconds apart. What moves in that time is not pixel on pixel any more.",
    )

    def longest_wait_s(self) -> float:
        """Of one camera that sees both bands: its own. Two are read on threads of their own."""
        return self.red.longest_wait_s() if self.one_device else 0.0

    @field_validator(*NAMES, mode="before", json_schema_input_type=BandOptions | str | int)
    @classmethod
    def _short(cls, band: object) -> object:
        short = isinstance(band, str | int) and not isinstance(band, bool)
        return {"device": band} if short else band

    @model_validator(mode="after")
    def _possible(self) -> Self:
        red, nir = self.red, self.nir
        if _is_live(self) != (kind_of(nir.device) in _LIVE):
            raise ValueError("red and nir are both cameras or both files")
        if _is_live(self):
            for name in sorted({"speed", "loop"} & self.model_fields_set):
                raise ValueError(f"'{name}' means nothing for cameras; leave it out")
        if self.one_device:
            if red.channel == nir.channel:
                raise ValueError(
                    "red and nir are the same pictures: give each its 'channel' of the device"
                )
            if red.model_copy(update={"channel": nir.channel}) != nir:
                raise ValueError(
                    "red and nir are the same device: give both the same options but 'channel'"
                )
        return self

    @property
    def one_device(self) -> bool:
        """Whether both bands come from one camera."""
        return self.red.device == self.nir.device

    def camera(self, band: BandOptions, **pace: Any) -> CameraOptions:
        """The options of the camera that gives a band; checked already."""
        device = {name: value for name, value in band if name != "channel"}
        return CameraOptions.model_construct(**device, **pace)


def _is_live(options: MultispectralOptions) -> bool:
    return kind_of(options.red.device) in _LIVE


@source("multispectral", live=_is_live)
class Multispectral:
    """Red and near-infrared pictures, from two cameras or from two channels of one.

    Emits Bands (2, height, width) uint8, named red and nir. The pictures have to show the same,
    pixel on pixel: nothing is aligned here. Two cameras are read by a thread each, and their
    pictures put together by time of capture; `t_ns` is that of the later one. `lost` counts the
    pairs that could have been: pictures that both cameras gave, or lost, and that found no partner.
    """

    def __init__(self, options: MultispectralOptions, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Bands], /) -> None:
        """Emit until files end; cameras never end by themselves.

        Raises:
            Unavailable: one of the cameras cannot be opened, went silent, or gives no pictures; the
                two give pictures of different sizes.
        """
        if self._options.one_device:
            self._run_one(emit)
        else:
            self._run_two(emit)

    def _run_one(self, emit: Emit[Bands]) -> None:
        options = self._options
        pace = {"rate_hz": options.rate_hz, "speed": options.speed, "loop": options.loop}

        def split(
            value: Image, /, *, t_ns: int | None = None, span_ns: int = 0, lost: int = 0
        ) -> None:
            emit(self._bands(value, value), t_ns=t_ns, span_ns=span_ns, lost=lost)

        Camera(options.camera(options.red, **pace), self._context).run(split)

    def _run_two(self, emit: Emit[Bands]) -> None:
        options, context = self._options, self._context
        live = _is_live(options)
        images = kind_of(options.red.device) is kind_of(options.nir.device) is DeviceKind.IMAGES
        # Cameras and videos are paired first and thinned out then: what each would leave out by
        # itself need not be the same.
        limit = RateLimit(None if images else options.rate_hz)
        pace = {"rate_hz": options.rate_hz if images else None, "speed": "fast", "loop": False}
        cameras = {name: options.camera(getattr(options, name), **pace) for name in NAMES}
        real_time = None if live or options.speed == "fast" else RealTime(context)
        start_ns = lost = 0
        while True:
            last_ns, period_ns = None, _FALLBACK_PERIOD_NS
            with Pairs(cameras, context, live=live, skew_ns=ns(options.skew_ms / 1000)) as pairs:
                for red, nir in pairs:
                    t_ns = start_ns + max(red.t_ns, nir.t_ns)
                    if last_ns is not None:
                        period_ns = t_ns - last_ns
                    last_ns = t_ns
                    lost += min(red.lost, nir.lost)
                    if not limit.admits(t_ns):
                        continue
                    if real_time is not None:
                        real_time.wait_for(t_ns)
                    emit(self._bands(red.image, nir.image), t_ns=t_ns, lost=lost)
                    lost = 0
            if last_ns is None:
                raise Unavailable(
                    f"no picture of red was taken within {options.skew_ms:g} ms of one of nir"
                )
            if not options.loop:
                return
            start_ns = last_ns + period_ns

    def _bands(self, red: Image, nir: Image) -> Bands:
        if red.size != nir.size:
            raise Unavailable(
                f"red has pictures of {red.size[0]} x {red.size[1]} pixels and nir of "
                f"{nir.size[0]} x {nir.size[1]}; give both cameras the same size"
            )
        width, height = red.size
        planes = np.empty((2, height, width), np.uint8)
        for plane, image, band in zip(
            planes, (red, nir), (self._options.red, self._options.nir), strict=True
        ):
            _copy_channel(image, band.channel, plane)
        return Bands(planes, NAMES, red.view)


def _copy_channel(image: Image, channel: str, plane: Any) -> None:
    if image.pixels.ndim == 2:  # noqa: PLR2004 - without colours
        plane[:] = image.pixels
    elif channel == "grey":
        cv2.cvtColor(image.pixels, cv2.COLOR_BGR2GRAY, dst=plane)
    else:
        cv2.extractChannel(image.pixels, _PLANES[channel], dst=plane)
