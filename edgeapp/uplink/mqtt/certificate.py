"""Until when a certificate is good. The standard library has no public way to say."""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

# Tags of ASN.1 in its encoding DER (ITU-T X.690)
_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18
_LONG_FORM = 0x80  # of a length: it says how many bytes of length follow
_CENTURY_TURN = 50  # RFC 5280, 4.1.2.5.1: two digits from here on are of the 20th century


def good_until(pem: str) -> datetime | None:
    """When the first certificate of a PEM file expires; None where there is none to be read."""
    found = _PEM.search(pem)
    if found is None:
        return None
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(found[0]))
    except (ValueError, LookupError):
        return None


def _not_after(der: bytes) -> datetime:
    """Walk to the validity of an X.509 certificate (RFC 5280, 4.1).

    Certificate { tbsCertificate { [0] version, serial, algorithm, issuer, validity { from, to }
    """
    (_, certificate), *_ = _elements(der)
    (_, to_be_signed), *_ = _elements(certificate)
    fields = list(_elements(to_be_signed))
    if fields[0][0] == _VERSION:
        del fields[0]
    _from, (tag, text) = _elements(fields[3][1])
    if tag == _UTC_TIME:
        year = int(text[:2])
        century = b"19" if year >= _CENTURY_TURN else b"20"
        text = century + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text.decode("ascii"), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element, one after the other."""
    at = 0
    while at < len(der):
        tag, size = der[at], der[at + 1]
        at += 2
        if size >= _LONG_FORM:
            count = size - _LONG_FORM
            size = int.from_bytes(der[at : at + count])
            at += count
        content = der[at : at + size]
        if len(content) < size:
            raise ValueError("cut off")
        yield tag, content
        at += size
