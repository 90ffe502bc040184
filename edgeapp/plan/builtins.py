"""The plugins that come with edgeapp: what a file calls them, and where they are.

They are imported on use, so that a vibration node never loads OpenCV.
"""

from collections.abc import Mapping

from edgeapp.core.plugin import Kind

BUILTINS: Mapping[tuple[Kind, str], str] = {
    ("source", "camera"): "edgeapp.sources.camera:Camera",
    ("source", "multispectral"): "edgeapp.sources.multispectral:Multispectral",
    ("source", "vibration"): "edgeapp.sources.vibration:Vibration",
    ("source", "conveyor"): "edgeapp.sources.conveyor:Conveyor",
    ("source", "bearing"): "edgeapp.sources.bearing:Bearing",
    ("source", "audio"): "edgeapp.sources.audio:Audio",
    ("source", "sounds"): "edgeapp.sources.sounds:Sounds",
    ("transform", "resize"): "edgeapp.transforms.resize:Resize",
    ("transform", "crop"): "edgeapp.transforms.crop:Crop",
    ("transform", "letterbox"): "edgeapp.transforms.letterbox:Letterbox",
    ("transform", "mask"): "edgeapp.transforms.mask:Mask",
    ("transform", "motion"): "edgeapp.transforms.motion:Motion",
    ("transform", "window"): "edgeapp.transforms.window:Window",
    ("transform", "features"): "edgeapp.transforms.features:FeaturesOfSignal",
    ("transform", "resample"): "edgeapp.transforms.resample:Resample",
    ("transform", "logmel"): "edgeapp.transforms.logmel:Logmel",
    ("transform", "machine_health"): "edgeapp.transforms.machine_health:MachineHealth",
    ("transform", "anomaly"): "edgeapp.transforms.anomaly:Anomaly",
    ("transform", "keep"): "edgeapp.transforms.keep:Keep",
    ("transform", "gate"): "edgeapp.transforms.gate:Gate",
    ("transform", "episodes"): "edgeapp.transforms.episodes:Episodes",
    ("transform", "every"): "edgeapp.transforms.every:Every",
    ("transform", "track"): "edgeapp.transforms.track:Track",
    ("transform", "sightings"): "edgeapp.transforms.sightings:Sightings",
    ("transform", "zones"): "edgeapp.transforms.zones:Zones",
    ("transform", "lines"): "edgeapp.transforms.lines:Lines",
    ("transform", "ndvi"): "edgeapp.transforms.ndvi:Ndvi",
    ("transform", "marker"): "edgeapp.transforms.marker:Marker",
    ("transform", "pose_error"): "edgeapp.transforms.pose_error:PoseError",
    ("model", "detector"): "edgeapp.models.decoders.detector:Detector",
    ("model", "sound"): "edgeapp.models.decoders.sound:Sound",
    ("model", "classifier"): "edgeapp.models.decoders.classifier:Classifier",
    ("model", "segmenter"): "edgeapp.models.decoders.segmenter:Segmenter",
    ("action", "save_image"): "edgeapp.actions.save_image:SaveImage",
    ("action", "save_clip"): "edgeapp.actions.save_clip:SaveClip",
    ("action", "gpio"): "edgeapp.actions.gpio:Gpio",
    ("action", "run_command"): "edgeapp.actions.run_command:RunCommand",
    ("action", "webhook"): "edgeapp.actions.webhook:Webhook",
    ("action", "log"): "edgeapp.actions.log:LogAction",
    ("output", "mqtt"): "edgeapp.outputs.mqtt:Mqtt",
    ("output", "snapshot"): "edgeapp.outputs.snapshot:Snapshot",
    ("output", "jsonl"): "edgeapp.outputs.jsonl:Jsonl",
    ("output", "console"): "edgeapp.outputs.console:Console",
}
