"""A socket to the broker: its name looked up, TCP connected, TLS agreed on."""

import asyncio
import contextlib
import socket
import threading

from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import Endpoint

CONNECT_S = 5.0
"""How long each of the broker's addresses may take to answer."""
TLS_S = 10.0
"""How long the broker may take for the TLS handshake."""


async def dial(endpoint: Endpoint) -> socket.socket:
    """Connect to the broker; with TLS it is an `ssl.SSLSocket`. In blocking mode.

    Looking up a name cannot be interrupted. So all of it happens in a thread of its own, which
    nobody waits for who is cancelled: what it opens it closes.

    Raises:
        Unavailable: says where, what and what to do.
    """
    loop = asyncio.get_running_loop()
    dialled: asyncio.Future[socket.socket] = loop.create_future()
    # As a daemon it does not hold up the end of the process.
    threading.Thread(
        target=_work, args=(endpoint, loop, dialled), name="uplink/dial", daemon=True
    ).start()
    try:
        return await dialled
    except asyncio.CancelledError:
        if dialled.done() and not dialled.cancelled() and dialled.exception() is None:
            dialled.result().close()
        raise


def _work(
    endpoint: Endpoint, loop: asyncio.AbstractEventLoop, dialled: "asyncio.Future[socket.socket]"
) -> None:
    result: socket.socket | Exception
    try:
        result = _connected(endpoint)
    except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
        result = error
    try:
        loop.call_soon_threadsafe(_deliver, dialled, result)
    except RuntimeError:  # the loop was closed meanwhile
        if isinstance(result, socket.socket):
            result.close()


def _deliver(dialled: "asyncio.Future[socket.socket]", result: socket.socket | Exception) -> None:
    if isinstance(result, socket.socket):
        if dialled.cancelled():
            result.close()
        else:
            dialled.set_result(result)
    elif not dialled.cancelled():
        dialled.set_exception(result)


def _connected(endpoint: Endpoint) -> socket.socket:
    host = endpoint.host
    try:
        sock = socket.create_connection((host, endpoint.port), timeout=CONNECT_S)
    except socket.gaierror as error:
        problem = f"the name '{host}' cannot be looked up: {error.strerror}"
    except TimeoutError:
        problem = "nothing answers: check mqtt.host and mqtt.port, the network and its firewalls"
    except ConnectionRefusedError:
        problem = "connection refused: no broker listens on that port"
    except OSError as error:
        problem = error.strerror or str(error)
    except ValueError:  # UnicodeError too
        problem = f"'{host}' cannot be the name of a host"
    else:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # What was sent and is not acknowledged for so long means that the line is dead, though a
        # ping of MQTT would be noticed as missing only after twice that time.
        sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, endpoint.keepalive_s) * 1000
        )
        return _with_tls(sock, endpoint) if endpoint.tls else sock
    raise Unavailable(f"broker {endpoint}: {problem}") from None


def _with_tls(sock: socket.socket, endpoint: Endpoint) -> socket.socket:
    import ssl

    from edgeapp.uplink.mqtt import tls

    assert endpoint.tls is not None
    with contextlib.ExitStack() as undo:
        undo.callback(sock.close)
        try:
            context = tls.make_context(endpoint.tls)
            sock.settimeout(TLS_S)
            wrapped = context.wrap_socket(sock, server_hostname=endpoint.host)
        except Unavailable as error:
            problem = str(error)
        except ssl.SSLCertVerificationError as error:
            problem = tls.not_trusted(error, endpoint)
        except TimeoutError:
            problem = "it does not answer in TLS: check mqtt.port, or leave out mqtt.tls"
        except (ConnectionError, ssl.SSLEOFError):
            problem = "it hangs up when it is spoken to in TLS: check mqtt.port"
        except (OSError, ValueError) as error:
            problem = tls.refused(str(error)) or f"no TLS comes about: {error}"
        else:
            undo.pop_all()
            return wrapped
    raise Unavailable(f"broker {endpoint}: {problem}")
