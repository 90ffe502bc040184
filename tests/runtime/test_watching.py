"""Stages that follow topics of the broker."""

from typing import Annotated

from edgeapp.api import Context, Field, Options, Packet, Score, WatchTopic, transform
from edgeapp.core.plugin import watched_topics
from edgeapp.testing import packets, run_stage

ONE = packets([Score(3.0)], rate_hz=1)


class ScaleOptions(Options):
    """Where the factors come from."""

    topic: WatchTopic = Field("plant/factor", description="The factor.")
    offset: WatchTopic | None = Field(None, description="What is added.")
    about: str = Field("plant/none", description="No topic at all.")
    other: Annotated[str, "a mark of somebody else"] = Field("x", description="Nor this.")


@transform("scale")
class Scale:
    """Multiply by what comes over MQTT, and add something."""

    def __init__(self, options: ScaleOptions, context: Context) -> None:
        self._factor = context.watch(options.topic)
        self._offset = context.watch(options.offset) if options.offset else None

    def process(self, packet: Packet[Score]) -> Score | None:
        factor, offset = self._factor.latest(), self._offset and self._offset.latest()
        if factor is None:
            return None
        added = float(offset.payload) if offset else 0.0
        return Score(packet.value.value * float(factor.payload) + added)


@transform("nosy")
class Nosy:
    """Follows a topic that none of its options names."""

    def __init__(self, options: ScaleOptions, context: Context) -> None:
        context.watch(options.about)

    def process(self, packet: Packet[Score]) -> Score:
        return packet.value


def test_a_stage_reads_the_newest_message_of_its_topics() -> None:
    arrived = {"plant/factor": b"2.5", "plant/add": b"1"}
    ran = run_stage(Scale, {"offset": "plant/add"}, ONE, arrived=arrived)
    assert [score.value for score in ran.values] == [8.5]


def test_where_nothing_comes_it_finds_nothing() -> None:
    assert run_stage(Scale, {}, ONE).values == []


def test_topics_are_found_in_options_that_may_be_left_out() -> None:
    assert watched_topics(ScaleOptions.model_validate({})) == ("plant/factor",)
    assert watched_topics(ScaleOptions.model_validate({"offset": "a/b"})) == ("plant/factor", "a/b")


def test_a_topic_that_no_option_names_is_the_authors_mistake() -> None:
    """By the options it is known whether a broker is needed at all."""
    ran = run_stage(Nosy, {}, ONE)
    assert ran.meters.faults
    [*_, (_, event, facts)] = ran.log.events
    assert event == "stage raised"
    assert "'plant/none' is watched, but in no option" in str(facts["exc_info"])
