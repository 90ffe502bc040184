"""A device that is only physics, loaded as a test says, with its files and a clock of its own."""

from collections.abc import Iterator
from dataclasses import replace

from edgeapp.core.clock import FakeClock
from edgeapp.simulation.plant import Plant
from edgeapp.simulation.scenarios import cool_idle, soc_sensor
from edgeapp.simulation.spec import DeviceState, Inputs, Node, PlantSpec, Power, SensorSpec
from edgeapp.simulation.tree import TreeSenses
from edgeapp.watchdog.readings import Readings

PLANT = PlantSpec(
    nodes=(Node("die", 2.5, 6.0, "board"), Node("board", 10.5, 230.0, "ambient")),
    power=Power(2.1, 1.07, 4),
    start_c=25.0 + 13.0 * 2.1,
)


class BenchDevice:
    """Set `busy`, then `second()`; `files` and `readings` follow."""

    def __init__(
        self,
        plant: PlantSpec = PLANT,
        sensors: tuple[SensorSpec, ...] = (soc_sensor(),),
        ambient_c: float = 25.0,
    ) -> None:
        self.inputs = Inputs(ambient_c=((0.0, ambient_c),))
        made = cool_idle(1)
        scenario = replace(made, plant=plant, inputs=self.inputs, sensors=sensors)
        self.plant = Plant(plant)
        self.clock = FakeClock()
        self.busy = 0.0
        self._senses = TreeSenses(scenario)
        self._show(0.0)
        self.files = self._senses.files
        self.readings = Readings(self.clock, files=self.files, cores=plant.power.cores)

    @property
    def die_c(self) -> float:
        """The truth."""
        return self.plant.nodes_c[0]

    def second(self, seconds: float = 1.0) -> None:
        """Go on."""
        self.plant.step(seconds, self.busy, self.inputs)
        self.clock.advance(seconds)
        self._show(self.plant.t_s)

    def course(self, *loads: tuple[float, float]) -> Iterator[float]:
        """Seconds of (how long, busy cores) each; the time after each of them."""
        for seconds, busy in loads:
            self.busy = busy
            for _ in range(int(seconds)):
                self.second()
                yield self.plant.t_s

    def _show(self, t_s: float) -> None:
        nodes = zip(self.plant.spec.nodes, self.plant.nodes_c, strict=True)
        nodes_c = {node.id: at_c for node, at_c in nodes}
        ratio = self.plant.clock_ratio(self.inputs)
        step = self.plant.throttle_step
        self._senses.show(DeviceState(t_s, nodes_c, ratio, step, 5.0, self.busy, 0.0, 25.0))
