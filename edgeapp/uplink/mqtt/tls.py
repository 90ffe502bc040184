"""TLS to the broker, and what is wrong with it in sentences for whoever set it up."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import Endpoint, Tls

# OpenSSL's numbers of what is wrong with a certificate (X509_V_ERR_..., openssl-verify(1))
_NOT_YET_VALID, _EXPIRED, _REVOKED = 9, 10, 23
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 64})

_ALERTS = {
    "CERTIFICATE_REQUIRED": "it wants a certificate of this device: give mqtt.tls.cert and key",
    "HANDSHAKE_FAILURE": "it wants a certificate of this device (mqtt.tls.cert), or agrees to no "
    "cipher",
    "CERTIFICATE_EXPIRED": "it says that this device's certificate has expired: renew the file "
    "mqtt.tls.cert",
    "CERTIFICATE_REVOKED": "it says that this device's certificate was revoked: renew the file "
    "mqtt.tls.cert",
    "UNKNOWN_CA": "it does not know the authority of this device's certificate: is mqtt.tls.cert "
    "the right file?",
    "BAD_CERTIFICATE": "it refuses this device's certificate: is mqtt.tls.cert the right file?",
    "UNSUPPORTED_CERTIFICATE": "it cannot use this device's certificate: make mqtt.tls.cert anew",
    "CERTIFICATE_UNKNOWN": "it refuses this device's certificate: is mqtt.tls.cert the right file?",
    "ACCESS_DENIED": "it lets no device with this certificate in: is mqtt.tls.cert the right file?",
    "PROTOCOL_VERSION": "it speaks no TLS 1.2 or later: renew the broker",
    "UNSUPPORTED_PROTOCOL": "it speaks no TLS 1.2 or later: renew the broker",
    "WRONG_VERSION_NUMBER": "it speaks no TLS on this port: check mqtt.port, or leave out mqtt.tls",
}
"""By what OpenSSL calls it: alerts of the broker, and what this side makes of its answer."""


def make_context(tls: Tls) -> ssl.SSLContext:
    """Read the files, which may have been renewed since the last time; blocks meanwhile.

    Raises:
        Unavailable: one of them cannot be used; says which, why and what to do.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.ca is None:
        context.load_default_certs()
    else:
        pem = _read("ca", tls.ca)
        try:
            context.load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError):
            raise Unavailable(f"mqtt.tls.ca: '{tls.ca}' holds no certificate in PEM") from None
    if tls.cert is not None:
        _load_own(context, tls.cert, tls.key)
    elif tls.key is not None:
        raise Unavailable("mqtt.tls.key is given without mqtt.tls.cert: give both, or neither")
    return context


def not_trusted(error: ssl.SSLCertVerificationError, endpoint: Endpoint) -> str:
    """Why the broker's certificate is not good enough."""
    code = error.verify_code
    if code in _OTHER_NAME:
        return (
            f"its certificate is not for '{endpoint.host}': mqtt.host must be a name or address "
            "that is in the certificate"
        )
    if code in _UNKNOWN_AUTHORITY:
        ca = endpoint.tls.ca if endpoint.tls else None
        if ca is None:
            return "its certificate is of nobody in the system's authorities; give mqtt.tls.ca"
        return (
            f"its certificate is of nobody in mqtt.tls.ca ('{ca}'): give the file of the authority "
            "that signed it, if this is the right broker"
        )
    if code in {_EXPIRED, _NOT_YET_VALID}:
        what = "has expired" if code == _EXPIRED else "is not valid yet"
        now = datetime.now(UTC).date().isoformat()
        return f"its certificate {what}: renew it, if {now} is really today on this device"
    if code == _REVOKED:
        return "its certificate was revoked: renew it"
    return f"its certificate is not good: {error.verify_message}"


def refused(text: str) -> str | None:
    """What the broker's TLS had against us, by the text of OpenSSL's error; None: nothing known."""
    shouted = text.upper().replace(" ", "_")
    return next((said for alert, said in _ALERTS.items() if alert in shouted), None)


def _load_own(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    if "-----BEGIN CERTIFICATE-----" not in _read("cert", cert):
        raise Unavailable(f"mqtt.tls.cert: '{cert}' holds no certificate in PEM")
    in_file = f"mqtt.tls.key: '{key}'" if key else f"mqtt.tls.cert: '{cert}'"
    if "PRIVATE KEY-----" not in _read("key" if key else "cert", key or cert):
        remedy = "" if key else "; if it is in another file, give mqtt.tls.key"
        raise Unavailable(f"{in_file} holds no private key in PEM{remedy}")
    asked: list[bool] = []

    def no_pass_phrase() -> str:
        asked.append(True)  # without this function OpenSSL would ask on the terminal
        return ""

    try:
        context.load_cert_chain(cert, key, no_pass_phrase)
    except (ssl.SSLError, OSError, ValueError) as error:
        if asked:
            problem = "is encrypted: store the key without a pass phrase, for this user alone"
        elif isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            problem = f"is not the key of the certificate '{cert}'"
        else:
            problem = f"cannot be used with the certificate '{cert}': one of them is damaged"
        raise Unavailable(f"{in_file} {problem}") from None


def _read(option: str, path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="backslashreplace")
    except OSError as error:
        raise Unavailable(
            f"mqtt.tls.{option}: '{path}' cannot be read: {error.strerror or error}"
        ) from None
