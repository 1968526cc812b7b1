"""The application as in production, but for a detector that sees magenta."""

from fakes import MagentaDetector
from pothole.serving.app import create_app
from pothole.settings import Settings

app = create_app(Settings.from_env(), lambda model_dir: MagentaDetector())
