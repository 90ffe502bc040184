"""Laws of a model stage, whatever is asked of its dial and however slowly models load.

Wishes, urgent or not, with leases that lapse, pins, memory that is short and packets come in any
order; rungs that cannot be loaded, and rungs that fail at their first packet, are among them.
Loading stands still until it is let go on. Every packet is answered, by a rung that was open.
"""

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgeapp.core.dial import CLOSED, FLOOR_DIVISOR, Setting
from edgeapp.models.session import LINGER_S
from tests.models.conftest import made_in
from tests.models.test_model import Bench

RUNGS = 6
FAULTS = st.sampled_from(["", "", "", "", "no model", "refuses", "no memory", "stumbles"])
SETTINGS = st.builds(Setting, st.integers(0, RUNGS - 1), st.sampled_from([CLOSED, 1, 1, 2, 4]))
SECONDS = st.sampled_from([0.5, 3.0, 100.0])
Held = tuple[Setting, float, bool]
"""A setting, until when, and whether it is urgent or forced."""


class Swaps(RuleBasedStateMachine):
    """A stage of six rungs, one of which is good for sure."""

    @initialize(good=st.integers(0, RUNGS - 1), faults=st.lists(FAULTS, min_size=6, max_size=6))
    def open(self, good: int, faults: list[str]) -> None:
        self.folder = TemporaryDirectory()
        faults[good] = ""
        named = {f"v{rung}": fault for rung, fault in enumerate(faults)}
        self.bench = Bench(Path(self.folder.name), made_in(Path(self.folder.name)), **named)
        self.gates = [threading.Event() for _ in range(RUNGS)]
        self.bench.pool.gates = {f"v{r}.onnx": gate for r, gate in enumerate(self.gates)}
        self.faults = faults
        self.wish: Held = (Setting(good), 0.0, False)
        self.held: Held | None = None
        self.standby = True
        self.now_s = 0.0
        self.let_all_load()
        self.want(Setting(good), 100.0, urgent=False, standby=True)
        self.bench.stage.__enter__()
        assert self.bench.rung() == good

    def teardown(self) -> None:
        bench = self.bench
        self.let_all_load()
        bench.stage.__exit__(None, None, None)
        assert not [t for t in threading.enumerate() if t.name == "line/ask/open"]
        bench.clock.advance(LINGER_S)
        bench.pool.sweep()
        assert len(bench.pool) == 0
        self.folder.cleanup()

    # -- what happens -----------------------------------------------------------------------

    @rule(setting=SETTINGS, lease_s=SECONDS, urgent=st.booleans(), standby=st.booleans())
    def want(self, setting: Setting, lease_s: float, *, urgent: bool, standby: bool) -> None:
        self.bench.dial.want(setting, lease_s=lease_s, urgent=urgent, standby=standby)
        self.wish, self.standby = (setting, self.now_s + lease_s, urgent), standby

    @rule(setting=SETTINGS, for_s=SECONDS, force=st.booleans())
    def pin(self, setting: Setting, for_s: float, *, force: bool) -> None:
        setting = Setting(setting.rung, setting.divisor or 1)
        self.bench.dial.pin(setting, for_s=for_s, force=force)
        self.held = setting, self.now_s + for_s, force

    @rule()
    def unpin(self) -> None:
        self.bench.dial.unpin()
        self.held = None

    @rule(seconds=st.sampled_from([0.25, 1.0, 5.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.bench.clock.advance(seconds)

    @rule(rung=st.integers(0, RUNGS - 1))
    def hold_up_loading(self, rung: int) -> None:
        self.gates[rung].clear()

    @rule()
    def let_all_load(self) -> None:
        for gate in self.gates:
            gate.set()
        if hasattr(self, "bench") and self.bench.stage._opening:
            self.bench.stage._opening.wait()

    @rule()
    def follow_without_a_packet(self) -> None:
        self.bench.stage.follow()
        self.check_open()

    @rule(count=st.integers(1, 3))
    def ask(self, count: int) -> None:
        for _ in range(count):
            rung = self.bench.rung()
            assert self.faults[rung] == "", "it cannot have been this one"
            assert rung not in self.bench.dial.struck
            assert self.bench.dial.actual == Setting(rung, self.wanted().divisor)
            self.check_open()

    @rule()
    def settle(self) -> None:
        """In the end the nearest usable rung answers, and no other is open than what is kept."""
        self.let_all_load()
        rung = self.bench.settle()
        usable = [r for r in range(RUNGS) if r not in self.bench.dial.struck]
        wanted = self.wanted().rung
        assert rung == next((r for r in usable if r >= wanted), usable[-1])
        below = [r for r in usable if r > rung][:1] if self.standby else []
        assert self.bench.stage._open.keys() == {rung, *below}
        if not self.standby:
            assert len(self.bench.pool) == 1

    # -- what holds -------------------------------------------------------------------------

    def wanted(self) -> Setting:
        """What the dial has to say."""
        setting, until_s, urgent = self.wish
        if self.held and self.now_s < self.held[1] and (self.held[2] or not urgent):
            return self.held[0]
        if self.now_s < until_s:
            return setting
        usable = [rung for rung in range(RUNGS) if rung not in self.bench.dial.struck]
        return Setting(usable[-1], setting.divisor or FLOOR_DIVISOR)

    def check_open(self) -> None:
        """The one in use, the one before it until this one has answered, and what is wanted."""
        stage, dial = self.bench.stage, self.bench.dial
        most = 2 + (stage._before is not None) + self.standby
        assert len(stage._open) <= most
        assert dial.actual.rung in stage._open

    @invariant()
    def the_dial_says_what_is(self) -> None:
        if hasattr(self, "bench"):
            stage, dial = self.bench.stage, self.bench.dial
            assert dial.wanted() == self.wanted()
            assert dial.opening == (stage._opening is not None)
            assert all(self.faults[rung] for rung in dial.struck), "only what is bad is struck"
            opening = [t for t in threading.enumerate() if t.name == "line/ask/open"]
            assert len(opening) <= 1


TestSwaps = Swaps.TestCase
TestSwaps.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
