"""Properties are packed as paho packs them."""

from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from edgeapp.uplink.connection import Extra, Publication
from edgeapp.uplink.mqtt.properties import Properties

words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40)
extras = st.builds(
    Extra,
    expiry_s=st.none() | st.integers(0, 2**32 - 1),
    content_type=words | st.just(""),
    correlation=st.none() | st.binary(max_size=200),
    user=st.lists(st.tuples(words, words), max_size=4).map(tuple),
)


@given(extras)
def test_every_extra_is_packed_as_the_protocol_says(extra: Extra) -> None:
    paho = PahoProperties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types
    if extra.expiry_s is not None:
        paho.MessageExpiryInterval = extra.expiry_s
    if extra.content_type:
        paho.ContentType = extra.content_type
    if extra.correlation is not None:
        paho.CorrelationData = extra.correlation
    for pair in extra.user:
        paho.UserProperty = pair
    assert Properties(extra).pack() == paho.pack()  # type: ignore[no-untyped-call]  # ditto


@given(words, st.binary(max_size=300), extras)
def test_a_packet_is_never_larger_than_it_is_said_to_be(
    topic: str, payload: bytes, extra: Extra
) -> None:
    packed = Properties(extra).pack()
    remaining = 2 + len(topic.encode()) + 2 + len(packed) + len(payload)
    size = 1 + (1 if remaining < 128 else 2 if remaining < 16_384 else 3) + remaining
    assert size <= Publication(topic, payload, retain=False, extra=extra).most_bytes()
    assert Publication(topic, payload, retain=False, extra=extra).most_bytes() < size + 40
