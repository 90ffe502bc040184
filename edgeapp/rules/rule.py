"""A rule as options and the runtime use it."""

from typing import TYPE_CHECKING

from edgeapp.core.context import Log
from edgeapp.core.link import AnyPacket
from edgeapp.core.payload import Detections, Payload
from edgeapp.rules.compiler import Test, compiled
from edgeapp.rules.fields import SINGLE, detection_rows
from edgeapp.rules.types import check
from edgeapp.rules.written import Written

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Rule(Written):
    """A question about a packet, such as `value > 2 and ready`; docs/rules.md has the language.

    As the type of an option it is checked with the pipeline, against what really arrives.
    """

    __slots__ = ("_tests",)

    def __init__(self, text: str) -> None:
        """Parse a rule; check its names and types as far as that can be done alone.

        Raises:
            RuleError: it is wrong; says where (a ValueError).
        """
        super().__init__(text)
        check(self._tree, self.scope)
        self._tests: dict[type, Test] = {}

    def test(self, payload: type) -> Test:
        """What answers this rule for packets with this payload; never raises."""
        test = self._tests.get(payload)
        if test is None:
            test = self._tests[payload] = compiled(self._tree, self.scope.fields(payload))
        return test


class DetectionRule(Rule):
    """A question about each detection of a picture, such as `score > 0.6 and area < 0.2`."""

    __slots__ = ()

    scope = SINGLE


class Asking:
    """Asks a rule, or a term, of one payload after another. For one thread.

    A key or a label that does not come is told once: it is likely a slip.
    """

    __slots__ = ("_log", "_told", "_written")

    def __init__(self, written: Written, log: Log) -> None:
        """Ask `written`."""
        self._written = written
        self._log = log
        self._told: set[str] = set()

    def _tell(self, value: Payload) -> None:
        for text, known in self._written.absent(value):
            if text not in self._told:
                self._told.add(text)
                self._log.warning(
                    "the rule names what does not come",
                    rule=self._written.text,
                    missing=text,
                    comes=", ".join(known),
                )


class Matcher(Asking):
    """Asks a rule of packets."""

    __slots__ = ("_rule", "_tests")

    def __init__(self, rule: Rule, log: Log) -> None:
        super().__init__(rule, log)
        self._rule = rule
        self._tests: dict[type, Test] = {}

    def __call__(self, packet: AnyPacket) -> bool:
        """Whether the rule is true of a packet. Never raises."""
        try:
            test = self._tests[type(packet.value)]
        except KeyError:
            test = self._tests[type(packet.value)] = self._rule.test(type(packet.value))
            self._tell(packet.value)
        return bool(test(packet))


class Chooser(Asking):
    """Asks a rule of the detections of a picture."""

    __slots__ = ("_labels", "_rule")

    def __init__(self, rule: DetectionRule, log: Log) -> None:
        super().__init__(rule, log)
        self._rule = rule
        self._labels: tuple[str, ...] | None = None

    def __call__(self, found: Detections) -> "NDArray[np.bool_]":
        """Which detections the rule is true of: (n,) bool. Never raises."""
        import numpy as np

        if found.labels is not self._labels:
            self._labels = found.labels
            self._tell(found)
        test = self._rule.test(type(found))
        return np.fromiter((bool(test(row)) for row in detection_rows(found)), np.bool_, len(found))
