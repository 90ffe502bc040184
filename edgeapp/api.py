"""Everything that a plugin author needs, and no more. The import path is the API version.

from edgeapp.api import Context, Options, Packet, Score, transform
"""

from pydantic import Field

from edgeapp.core.answers import Event, Labels, Mask, Phase, Pose, event_id
from edgeapp.core.bearing import BearingGeometry, BearingOrders
from edgeapp.core.clock import Clock, FakeClock, samples_ns
from edgeapp.core.context import Context, Log
from edgeapp.core.message import Arrived, Message, Priority, Watched
from edgeapp.core.needs import Needs
from edgeapp.core.packet import At, Continuity, Hop, Packet, Run, RunMemory
from edgeapp.core.payload import (
    Bands,
    Detections,
    Features,
    Image,
    Payload,
    Score,
    Signal,
    Spectrogram,
    Tracks,
    View,
)
from edgeapp.core.plugin import (
    InputPath,
    Live,
    Options,
    OutputPath,
    Reads,
    Surroundings,
    WatchTopic,
    action,
    model,
    output,
    source,
    transform,
)
from edgeapp.core.sampling import Misfit, Sampling
from edgeapp.core.secret import Secret
from edgeapp.core.stage import Emit, Tensors, TensorSpec, TensorSpecs
from edgeapp.errors import BadPacket, ConfigError, PluginError, Stopping, Unavailable
from edgeapp.rules.rule import Chooser, DetectionRule, Matcher, Rule

__all__ = [
    "Arrived",
    "At",
    "BadPacket",
    "Bands",
    "BearingGeometry",
    "BearingOrders",
    "Chooser",
    "Clock",
    "ConfigError",
    "Context",
    "Continuity",
    "DetectionRule",
    "Detections",
    "Emit",
    "Event",
    "FakeClock",
    "Features",
    "Field",
    "Hop",
    "Image",
    "InputPath",
    "Labels",
    "Live",
    "Log",
    "Mask",
    "Matcher",
    "Message",
    "Misfit",
    "Needs",
    "Options",
    "OutputPath",
    "Packet",
    "Payload",
    "Phase",
    "PluginError",
    "Pose",
    "Priority",
    "Reads",
    "Rule",
    "Run",
    "RunMemory",
    "Sampling",
    "Score",
    "Secret",
    "Signal",
    "Spectrogram",
    "Stopping",
    "Surroundings",
    "TensorSpec",
    "TensorSpecs",
    "Tensors",
    "Tracks",
    "Unavailable",
    "View",
    "WatchTopic",
    "Watched",
    "action",
    "event_id",
    "model",
    "output",
    "samples_ns",
    "source",
    "transform",
]
