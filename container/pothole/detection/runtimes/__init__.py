"""A runtime runs the network: Keras on the backend of its choice, or its export on OpenVINO."""

import sys

# OpenVINO's tools tell their makers when they are used, if they find this. From here nothing is told.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
