"""What must not be stored of a source: the regions that its pipeline masks further down."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgeapp.core.link import AnyPacket
from edgeapp.core.payload import Bands, Image, Payload
from edgeapp.core.privacy import Polygon, blacked_out, touched
from edgeapp.plan.graph import Plan
from edgeapp.transforms.mask import MaskOptions


@dataclass(frozen=True, slots=True)
class Masked:
    """Blacks out regions of whatever pictures a payload holds."""

    polygons: tuple[Polygon, ...]
    """As fractions of the source picture."""

    def __call__(self, value: Payload) -> Payload:
        """The payload without a pixel of the regions."""
        if isinstance(value, Image):
            return blacked_out(value, self.polygons)
        if isinstance(value, Bands):
            return self._bands(value)
        image = getattr(value, "image", None)
        if image is None:
            return value
        hidden: Payload = replace(value, image=blacked_out(image, self.polygons))  # type: ignore[type-var]  # every payload with an image is a dataclass
        return hidden

    def _bands(self, bands: Bands) -> Bands:
        planes = bands.planes.copy()
        for polygon in self.polygons:
            for top, bottom, left, right in touched(polygon, bands.size, bands.view):
                planes[:, top:bottom, left:right] = 0
        return Bands(planes, bands.names, bands.view)


def masked(plan: Plan) -> Mapping[str, Masked]:
    """For each source with a `mask` downstream: what blacks out the regions of all of them."""
    found = {}
    for source in plan.sources:
        regions = [
            polygon
            for stage in _downstream(plan, source.id)
            if isinstance(options := plan.stages[stage].options, MaskOptions)
            for polygon in options.regions.values()
        ]
        if regions:
            found[source.id] = Masked(tuple(dict.fromkeys(regions)))
    return found


def hidden(plan: Plan) -> Callable[[AnyPacket], Any]:
    """What takes from a packet's value, wherever it is looked at, what the pipeline masks."""
    hide = masked(plan)

    def without(packet: AnyPacket) -> Any:
        redact = hide.get(packet.origin)
        return packet.value if redact is None else redact(packet.value)

    return without


def _downstream(plan: Plan, stage: str) -> Iterator[str]:
    for consumer in plan.stages[stage].consumers:
        yield consumer
        yield from _downstream(plan, consumer)
