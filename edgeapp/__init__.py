"""edgeapp: applications that run on the device, from sensor to MQTT, described in YAML.

Importing this package loads nothing heavy. Plugin authors import `edgeapp.api`.
To follow the main flow, read `edgeapp/runtime/pipeline.py` first.
"""

__version__ = "0.1.0"
