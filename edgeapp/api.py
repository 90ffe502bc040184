"""Everything that a plugin author needs, and no more. The import path is the API version.

from edgeapp.api import Context, Options, Packet, Score, transform
"""

from pydantic import Field

from edgeapp.core.bearing import BearingGeometry, BearingOrders
from edgeapp.core.clock import Clock, FakeClock, samples_ns
from edgeapp.core.context import Context, Log
from edgeapp.core.message import Message, Priority
from edgeapp.core.packet import At, Continuity, Hop, Packet
from edgeapp.core.payload import Detections, Features, Image, Payload, Score, Signal, View
from edgeapp.core.plugin import (
    InputPath,
    Options,
    OutputPath,
    Surroundings,
    action,
    model,
    output,
    source,
    transform,
)
from edgeapp.core.secret import Secret
from edgeapp.core.stage import Emit, Tensors, TensorSpec, TensorSpecs
from edgeapp.errors import BadPacket, ConfigError, PluginError, Stopping, Unavailable

__all__ = [
    "At",
    "BadPacket",
    "BearingGeometry",
    "BearingOrders",
    "Clock",
    "ConfigError",
    "Context",
    "Continuity",
    "Detections",
    "Emit",
    "FakeClock",
    "Features",
    "Field",
    "Hop",
    "Image",
    "InputPath",
    "Log",
    "Message",
    "Options",
    "OutputPath",
    "Packet",
    "Payload",
    "PluginError",
    "Priority",
    "Score",
    "Secret",
    "Signal",
    "Stopping",
    "Surroundings",
    "TensorSpec",
    "TensorSpecs",
    "Tensors",
    "Unavailable",
    "View",
    "action",
    "model",
    "output",
    "samples_ns",
    "source",
    "transform",
]
