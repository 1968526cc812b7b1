"""gunicorn loads this application, one to a process."""

import importlib
import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor

from gunicorn.arbiter import Arbiter

from pothole.detection.registry import load_detector
from pothole.settings import Settings

_settings = Settings.from_env(os.environ)
# Imported alone: beside others, each of its steps would wait for one of theirs.
if _settings.runtime != "tensorflow":
    importlib.import_module("openvino")
# OpenVINO compiles the network beside the imports below, which take half as long.
_detector = ThreadPoolExecutor(1).submit(load_detector, _settings.model_dir, _settings.runtime)

from pothole.entrypoints.http.app import create_app  # noqa: E402
from pothole.jobs.worker import Worker  # noqa: E402


def end_without_model(loading: Future[Worker]) -> None:
    """End the process when the model cannot be loaded, in such a way that gunicorn gives up, too.

    Any other end would make it start the next worker, which fails the same way, for ever.
    """
    if error := loading.exception():
        logging.getLogger("pothole").error("The model cannot be loaded: %s", error, exc_info=error)
        os._exit(Arbiter.WORKER_BOOT_ERROR)


app = create_app(_settings, lambda model_dir: _detector.result())
app.extensions["worker"].add_done_callback(end_without_model)
