"""What this process tells systemd of itself: sd_notify(3), without a library.

systemd names a Unix datagram socket in `NOTIFY_SOCKET`. What is sent there never blocks and never
raises: a service manager that is busy or gone must not hold up a device. Where nobody named a
socket, as in a terminal, nothing is sent.
"""

import os
import socket
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress

MOST_STATUS_CHARACTERS = 400
_US = 1_000_000


class Notifier:
    """Sends states to the service manager. Any thread."""

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        """Prepare.

        `address`: the path of a socket, or `@` and the name of an abstract one; empty: nobody
        listens. `watchdog_s`: a sign of life has to come this often; None: none is waited for.
        """
        self.watchdog_s = watchdog_s if address else None
        self._to = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._was_ready = False
        if address.startswith(("/", "@")):
            with suppress(OSError):
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)

    def close(self) -> None:
        """Say no more."""
        if self._socket is not None:
            self._socket.close()

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return self._socket is not None

    def ready(self) -> bool:
        """The service is up, or done with a reload."""
        self._was_ready = True
        return self._send({"READY": 1})

    def status(self, sentence: str) -> bool:
        """How it goes, for `systemctl status`; shortened to `MOST_STATUS_CHARACTERS`."""
        line = " ".join(sentence.split())
        if len(line) > MOST_STATUS_CHARACTERS:
            line = f"{line[: MOST_STATUS_CHARACTERS - 1]}…"
        return self._send({"STATUS": line})

    def alive(self) -> bool:
        """All goes on: a sign of life, due every `watchdog_s`."""
        return self._send({"WATCHDOG": 1})

    def stuck(self) -> bool:
        """Nothing will go on any more: treat it as if signs of life had failed to come."""
        return self._send({"WATCHDOG": "trigger"})

    def starting_takes(self, seconds: float) -> bool:
        """The start will take so much longer, from now on, at most."""
        return self._send({"EXTEND_TIMEOUT_USEC": round(seconds * _US)})

    def stopping(self) -> bool:
        """The service is about to end."""
        return self._send({"STOPPING": 1})

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Say that the configuration is read again, and at the end of the block that it was.

        Before the service is ready nothing is said: it would be taken for the end of the start.
        """
        if not self._was_ready:
            yield
            return
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send({"RELOADING": 1, "MONOTONIC_USEC": now_us})
        try:
            yield
        finally:
            self.ready()

    def _send(self, state: Mapping[str, object]) -> bool:
        """Whether it was sent; false where nobody listens, or is too busy to."""
        if self._socket is None:
            return False
        datagram = "\n".join(f"{name}={value}" for name, value in state.items())
        try:
            self._socket.sendto(datagram.encode(errors="replace"), self._to)
        except OSError:
            return False
        return True


def from_environment(environment: MutableMapping[str, str] | None = None) -> Notifier:
    """The notifier that systemd asks for, which takes its variables out of the environment.

    Else a program that we start, such as one of `run_command`, could speak in our name.
    """
    environment = os.environ if environment is None else environment
    address = environment.pop("NOTIFY_SOCKET", "")
    every_us = environment.pop("WATCHDOG_USEC", "")
    ours = environment.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
    watched = ours and every_us.isascii() and every_us.isdecimal() and int(every_us) > 0
    return Notifier(address, int(every_us) / _US if watched else None)
