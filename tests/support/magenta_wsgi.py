"""The application as in production, but for a detector that sees magenta."""

import os

from pothole.entrypoints.http.app import create_app
from pothole.settings import Settings
from support.fakes import MagentaDetector

app = create_app(Settings.from_env(os.environ), lambda model_dir: MagentaDetector())
