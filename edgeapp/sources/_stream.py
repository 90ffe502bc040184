"""A network stream (RTSP or HTTP), through PyAV, whose time limits on the network hold."""

from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from edgeapp.api import Context, Emit, Image, Unavailable
from edgeapp.core.clock import ns
from edgeapp.sources._camera_options import CameraOptions
from edgeapp.sources._pace import RateLimit

_PATIENCE_AT_OPENING = 0.95
_PATIENCE = {"rtsp": 0.46, "rtsps": 0.46, "http": 0.92, "https": 0.92}
"""Limits of opening and of one network wait, as parts of `silence_s`. FFmpeg's RTSP reader starts
a second wait after the first one was interrupted, so each gets just under half; a stream that
comes back in time survives."""
_RTSP = {"analyzeduration": "300000"}
_PROBING = {"rtsp": _RTSP, "rtsps": _RTSP}
"""RTSP describes its streams before it plays them, so a look of 0.3 s is enough."""


def read(options: CameraOptions, context: Context, emit: Emit[Image]) -> None:
    """Emit the stream's pictures, stamped by the clock as they arrive; never returns.

    Every picture is decoded; those beyond `rate_hz` are not converted. What cannot be decoded is
    counted as lost. No error holds the password, nor more of the address than its host and port.

    Raises:
        Unavailable: no connection, refused, ended, or no picture for `silence_s`.
    """
    av = _pyav()
    where = _public(options.device)
    try:
        container = av.open(
            _private(options),
            options={
                "rtsp_transport": options.transport,
                "flags": "low_delay",
                "fpsprobesize": "0",  # else two seconds of pictures, to tell a rate nobody asks for
                **_PROBING.get(_scheme(options.device), {}),
            },
            timeout=(
                options.silence_s * _PATIENCE_AT_OPENING,
                options.silence_s * _PATIENCE[_scheme(options.device)],
            ),
        )
    except (av.error.ExitError, av.error.TimeoutError, av.error.InvalidDataError):
        # Invalid data is also what an interrupted opening looks like.
        raise Unavailable(
            f"{where} sent no video within {options.silence_s:g} s of being asked"
        ) from None
    except av.error.FFmpegError as error:
        raise Unavailable(f"{where} {_refusal(av, error)}") from None
    try:
        with container:
            _read(container, av.error.InvalidDataError, options, context, emit)
    except (av.error.ExitError, av.error.TimeoutError):
        raise _silent(options) from None
    except av.error.FFmpegError as error:
        raise Unavailable(f"{where} was lost: {error.strerror}") from None
    raise Unavailable(f"{where} ended the stream")


def _read(
    container: Any,
    invalid_data: type[Exception],
    options: CameraOptions,
    context: Context,
    emit: Emit[Image],
) -> None:
    if not container.streams.video:
        raise Unavailable(f"{_public(options.device)} sends no video")
    video = container.streams.video[0]
    video.codec_context.thread_count = 1
    limit = RateLimit(options.rate_hz)
    silence_ns = ns(options.silence_s)
    lost = 0
    last_ns = context.clock.now_ns()
    for packet in container.demux():
        t_ns = context.clock.now_ns()
        if packet.stream_index == video.index:
            try:
                frames = packet.decode()
            except invalid_data:
                frames, lost = (), lost + 1
            for frame in frames:
                last_ns = t_ns
                if frame.is_corrupt:
                    lost += 1
                elif limit.admits(t_ns):
                    emit(Image(frame.to_ndarray(format="bgr24")), t_ns=t_ns, lost=lost)
                    lost = 0
        context.sleep(0)  # a stop is noticed between the pictures that go on, too
        if t_ns - last_ns > silence_ns:  # sound alone does not keep a camera alive
            raise _silent(options)


def _silent(options: CameraOptions) -> Unavailable:
    return Unavailable(f"{_public(options.device)} sent no picture for {options.silence_s:g} s")


def _pyav() -> Any:
    try:
        import av
        import av.error
    except ImportError:
        raise Unavailable(
            "streams need PyAV, which is not installed: pip install 'edgeapp[video]'"
        ) from None
    return av


def _scheme(url: str) -> str:
    return urlsplit(url).scheme.lower()


def _public(url: str) -> str:
    """What may be shown of an address: a path or query may hold a password too."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _private(options: CameraOptions) -> str:
    """The address with the credentials in it. For FFmpeg's eyes alone."""
    if options.username is None or options.password is None:
        return options.device
    parts = urlsplit(options.device)
    user = quote(options.username.reveal(hide=False), "")
    password = quote(options.password.reveal(), "")
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc}"))


def _refusal(av: Any, error: Any) -> str:
    match error:
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            return "refused us; check 'username' and 'password'"
        case av.error.HTTPNotFoundError():
            return "has no such stream; check what follows the host in the address"
        case av.error.ConnectionRefusedError():
            return "refuses connections; is the camera's streaming switched on?"
    return f"cannot be reached: {error.strerror}"  # the text for an error number, without the URL
