"""What a broker's answer to a CONNECT means, and what none means."""

from typing import Any

from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import Endpoint
from edgeapp.uplink.mqtt import reasons


class NotUnderstoodError(Exception):
    """The broker did not understand this CONNECT: perhaps it knows another version."""

    def __init__(self, problem: str, *, said_so: bool = False) -> None:
        super().__init__(problem)
        self.said_so = said_so


def judge(answer: Any, lost: str | None, *, endpoint: Endpoint, version: str, tls: str) -> None:
    """Return if the broker lets us in.

    `answer`: the reason code of its CONNACK, as paho has it; None: there was none. `lost`: why the
    connection ended; None: it holds. `tls`: what TLS had to say meanwhile.

    Raises:
        Unavailable: it refuses; says why and what to do.
        NotUnderstoodError: it does not know this version, hung up, or was silent.
    """
    if answer is not None:
        code, name = answer.value, str(answer)
        if code == reasons.UNSUPPORTED_VERSION:
            raise NotUnderstoodError(f"it does not know MQTT {version}", said_so=True)
        if code >= reasons.FAILURE:
            refused = reasons.refusal_of_connect(code, name, endpoint)
            raise Unavailable(f"broker {endpoint}: {refused}")
        return
    if lost is None:
        raise NotUnderstoodError(
            "it takes the connection but does not answer: it is overloaded, or no MQTT broker"
        )
    if tls:
        from edgeapp.uplink.mqtt.tls import refused as refused_by_tls

        told = refused_by_tls(tls)
        if told:
            raise Unavailable(f"broker {endpoint}: {told}")
    if lost == reasons.CUT:
        wants = "" if endpoint.tls else ", or wants mqtt.tls"
        lost = f"it hangs up without an answer: it is no MQTT broker{wants}"
    raise NotUnderstoodError(lost)
