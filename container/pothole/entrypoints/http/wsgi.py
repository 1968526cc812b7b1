"""gunicorn loads this application, one to a process."""

import logging
import os
from concurrent.futures import Future
from functools import partial

from gunicorn.arbiter import Arbiter

from pothole.detection.registry import load_detector
from pothole.entrypoints.http.app import create_app
from pothole.jobs.worker import Worker
from pothole.settings import Settings


def end_without_model(loading: Future[Worker]) -> None:
    """End the process when the model cannot be loaded, in such a way that gunicorn gives up, too.

    Any other end would make it start the next worker, which fails the same way, for ever.
    """
    if error := loading.exception():
        logging.getLogger("pothole").error("The model cannot be loaded: %s", error, exc_info=error)
        os._exit(Arbiter.WORKER_BOOT_ERROR)


_settings = Settings.from_env(os.environ)
app = create_app(_settings, partial(load_detector, runtime=_settings.runtime))
app.extensions["worker"].add_done_callback(end_without_model)
