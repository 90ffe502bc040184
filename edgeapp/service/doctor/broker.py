"""The broker: whether it is there, can be trusted and lets this device in."""

import asyncio
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from edgeapp.errors import Unavailable
from edgeapp.service.doctor.case import Case
from edgeapp.service.doctor.finding import Check, Finding, failed, ok, unseen, warning
from edgeapp.uplink.connection import Endpoint
from edgeapp.uplink.mqtt.certificate import good_until

LOGIN_S = 12.0
"""How long all of it may take: name, connection, TLS and login."""
SOON_DAYS = 30


def broker(case: Case) -> Iterator[Finding]:
    """Log in with a client id of our own, and publish and subscribe nothing: no rights are needed."""
    endpoint = case.endpoint
    if endpoint is None:
        if case.device is None:
            yield unseen("broker", "which it is is not known: the configuration is wrong")
        else:
            yield ok("broker", "none is named: messages stay on this machine")
        return
    yield from _certificates(case, endpoint)
    uplink = (case.live or {}).get("uplink")
    if uplink and uplink["connected"]:
        yield ok("broker", f"the service is connected to {endpoint} (MQTT {uplink['protocol']})")
        return
    found = asyncio.run(_look(case, endpoint))
    if uplink and uplink["problem"] and found.verdict == "ok":
        said = f"{found.said}, but not the service: {uplink['problem']}"
        found = failed("broker", said, f"journalctl -u edgeapp -n 50 or {case.restart()}")
    yield found


async def _look(case: Case, endpoint: Endpoint) -> Finding:
    from edgeapp.uplink.mqtt.client import Connector
    from edgeapp.uplink.mqtt.tcp import dial

    blind = _secrets_problem(endpoint)
    try:
        async with asyncio.timeout(LOGIN_S):
            if blind:
                (await dial(endpoint)).close()
                again = f"sudo {case.program} doctor"
                return unseen(
                    "broker", f"{endpoint} is there; whether it lets us in: {blind}", again
                )
            device = case.device.device if case.device else "device"
            connect = Connector(endpoint, client_id=f"edgeapp-{device}-doctor")
            connection = await connect(lambda *_: None)
            await connection.close()
    except TimeoutError:
        problem = f"broker {endpoint} does not answer within {LOGIN_S:.0f} s"
    except Unavailable as error:
        problem = str(error)
    else:
        return ok("broker", f"{endpoint} lets this device in (MQTT {connection.protocol})")
    return failed("broker", problem, f"nc -zv {endpoint.host} {endpoint.port}")


def _secrets_problem(endpoint: Endpoint) -> str:
    """Why we cannot log in as the service does; empty: we can."""
    for secret in (endpoint.username, endpoint.password):
        try:
            if secret is not None:
                secret.reveal()
        except Unavailable as error:
            return str(error)
    return ""


def _certificates(case: Case, endpoint: Endpoint) -> Iterator[Finding]:
    """How long those of the broker and of this device are good."""
    tls = endpoint.tls
    if tls is None:
        return
    now = datetime.fromtimestamp(case.machine.wall_s(), UTC)
    if tls.cert is not None:
        yield _until("own certificate", _own(tls.cert), now, f"renew '{tls.cert}'")
    pem = asyncio.run(_of_broker(endpoint))
    if pem:
        yield _until("broker's certificate", good_until(pem), now, "renew it at the broker")


def _own(file: Path) -> datetime | None:
    try:
        return good_until(file.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return None


async def _of_broker(endpoint: Endpoint) -> str:
    """The certificate that the broker shows, in PEM; empty where no TLS comes about."""
    from edgeapp.uplink.mqtt.tcp import dial

    try:
        async with asyncio.timeout(LOGIN_S):
            sock = await dial(endpoint)
    except (TimeoutError, Unavailable):
        return ""  # the login says why
    with sock:
        der = sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
    return ssl.DER_cert_to_PEM_cert(der) if der else ""


def _until(check: str, until: datetime | None, now: datetime, fix: str) -> Finding:
    if until is None:
        return unseen(
            check, "it cannot be read until when it is good", f"sudo edgeapp doctor; {fix}"
        )
    days = (until - now).days
    said = f"good until {until.date().isoformat()}"
    if days < 0:
        return failed(check, f"it has expired on {until.date().isoformat()}", fix)
    if days < SOON_DAYS:
        return warning(check, f"{said}: {days} days", fix)
    return ok(check, f"{said}: {days:,} days")


CHECKS: tuple[Check, ...] = (broker,)
