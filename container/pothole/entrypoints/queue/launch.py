"""`pothole work` takes videos from a queue until it is told to stop."""

import logging.config
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from pothole.detection.detector import Detector
from pothole.entrypoints.logs import logging_config
from pothole.entrypoints.queue.consumer import Consumer
from pothole.entrypoints.queue.detectors import load_detectors
from pothole.entrypoints.queue.protection import Protection
from pothole.entrypoints.queue.queue import WAIT_S, VideoQueue
from pothole.entrypoints.queue.steps import TableSteps
from pothole.entrypoints.queue.variables import Variables
from pothole.files import private_folder
from pothole.jobs.shutdown import ShutdownSignal
from pothole.jobs.worker import Worker
from pothole.metrics import Metrics
from pothole.settings import Settings
from pothole.storage import open_s3
from pothole.types import Json

_logger = logging.getLogger("pothole.queue")


def work(env: Mapping[str, str], variables: Variables, load_detector: Callable[[Path], Detector]) -> None:
    """Work on the videos of a queue until SIGTERM, Ctrl-C or a message ends it.

    Args:
        env: The environment, for the settings.
        variables: The queue, the table, and what looks at the videos.
        load_detector: Loads a model folder.

    Raises:
        PotholeError: The configuration is wrong, a model cannot be loaded, or SQS cannot be reached.
    """
    settings = Settings.from_env(env)
    settings = replace(settings, batch_size=variables.human_detection.batch_size or settings.batch_size)
    logging.config.dictConfig(logging_config(settings.log_level))
    shutdown = _shutdown_on_signals()
    session = boto3.session.Session(region_name=variables.aws_region)
    # A long poll is silent for so long.
    client = session.client("sqs", config=Config(read_timeout=3 * WAIT_S))
    queue = VideoQueue(client, variables.queue, settings.queue_hidden_s)
    steps = None
    if table := variables.dynamodb:
        dynamodb = session.resource("dynamodb", region_name=table.region or variables.aws_region)
        steps = TableSteps(dynamodb.Table(table.table_id), variables.step_name)
    with private_folder(settings.temp_dir, "pothole-work-") as folder:
        settings = replace(settings, temp_dir=folder)
        open_store = partial(open_s3, settings=settings)
        metrics = Metrics(settings.metrics_namespace)
        detector, model = load_detectors(variables.human_detection, settings, load_detector, metrics)
        worker = Worker(detector, model, open_store, settings, metrics, shutdown)
        _logger.info("waiting for videos", extra={"queue": queue.url, "step": variables.step_name})
        Consumer(queue, worker, steps, _defaults(variables), settings.max_jobs, Protection(env)).run()
    _logger.info("stopped")


def _defaults(variables: Variables) -> Json:
    """Return what a message leaves open, by the fields of a request."""
    detection = variables.human_detection
    return {
        "is_live": True,
        "frame_interval": detection.frame_interval,
        "min_confidence": detection.min_score,
        "outputs": list(variables.outputs),
        "step": variables.step_name,
    }


def _shutdown_on_signals() -> ShutdownSignal:
    """Return a signal for jobs that SIGTERM and Ctrl-C set: they end at their next frame."""
    shutdown = ShutdownSignal()

    def on_signal(number: int, frame: Any) -> None:
        shutdown.soon.set()
        shutdown.now.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return shutdown
