"""`pothole stream` reads live streams until it is told to stop."""

import logging
import logging.config
import os
import socket
import threading
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from pothole.declaration import declarations
from pothole.detection.detector import Detector
from pothole.detection.lock import SharedDetector
from pothole.entrypoints.logs import logging_config
from pothole.entrypoints.stream.consumer import BEATS, Consumer
from pothole.entrypoints.stream.endpoint import Endpoint
from pothole.entrypoints.stream.inference import Inference, Places, Predictor
from pothole.entrypoints.stream.lease_table import LeaseTable
from pothole.entrypoints.stream.leases import Leases
from pothole.entrypoints.stream.live_stream import LiveStream, Services
from pothole.entrypoints.stream.local import LocalDetector
from pothole.entrypoints.stream.metrics import StreamMetrics
from pothole.entrypoints.stream.reader import StreamReader
from pothole.entrypoints.stream.records import RecordStream, StreamFrame, json_record, original_record
from pothole.entrypoints.stream.streams import Streams
from pothole.entrypoints.stream.variables import LOCAL, PARAMETER, Variables
from pothole.errors import ConfigError
from pothole.metrics import Metrics
from pothole.settings import Settings

# A call that nobody answers must not take as long as a lease lasts.
QUICK = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2}, max_pool_connections=50)
PATIENT = Config(
    connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3}, max_pool_connections=50
)
_logger = logging.getLogger("pothole.stream")


def stream(
    env: Mapping[str, str],
    configuration: str,
    load_detector: Callable[[Path], Detector],
    shutdown: threading.Event,
) -> None:
    """Read live streams until the shutdown is set.

    Args:
        env: The environment, for the settings.
        configuration: See `Variables.read`; that of the settings when empty.
        load_detector: Loads a model folder.
        shutdown: Ends the work: what is on its way is finished, and the streams are given back.

    Raises:
        PotholeError: The configuration is wrong, the model cannot be loaded, or there is no table of leases.
    """
    settings = Settings.from_env(env)
    session = boto3.session.Session()
    client = partial(session.client, config=PATIENT)
    variables = _variables(configuration or settings.stream_configuration, client)
    logging.config.dictConfig(logging_config(settings.log_level))
    me = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    metrics = StreamMetrics(settings.metrics_namespace, me)
    dynamodb: Any = session.resource("dynamodb", config=QUICK)
    table = LeaseTable(dynamodb.meta.client, variables.lease_table, me)
    leases = Leases(table, variables.lease_duration_in_milli / 1000)
    table.all()  # a mistake in its name is told before the model is loaded
    predictor = _predictor(session, variables, settings, load_detector)
    inference = _inference(predictor, variables, metrics)
    records = RecordStream(client("kinesis"), variables.kds_stream_name, metrics)
    services = Services(
        read=StreamReader(session.client, settings.max_image_pixels),
        predictor=predictor,
        inference=inference,
        places=Places(variables.sage_maker_task_queue_size),
        records=records,
        form=_original if variables.record_format == "original" else json_record,
        keeps_picture=variables.record_picture,
        save=leases.save,
        metrics=metrics,
        interval=variables.inference_interval,
    )
    consumer = Consumer(
        table=table,
        leases=leases,
        streams=Streams(client("kinesisvideo"), variables),
        open_stream=lambda name, start: LiveStream(name, services, start),
        metrics=metrics,
        beat_s=variables.lease_duration_in_milli / 1000 / BEATS,
        sync_s=variables.sync_interval_in_milli / 1000,
        shutdown=shutdown,
    )
    _logger.info("waiting for streams", extra={"worker": me, "table": variables.lease_table})
    try:
        with records, inference:
            consumer.run()
    finally:
        consumer.give_back()  # after nothing can be written any more
    _logger.info("stopped")


def _variables(configuration: str, client: Callable[[str], Any]) -> Variables:
    """Read the configuration."""
    if not configuration:
        variable = declarations(Settings)["stream_configuration"].variable
        raise ConfigError("No configuration is named.", hint=f"Name one by --configuration or {variable}.")
    return Variables.read(configuration, client("ssm") if configuration.startswith(PARAMETER) else None)


def _predictor(
    session: boto3.session.Session,
    variables: Variables,
    settings: Settings,
    load_detector: Callable[[Path], Detector],
) -> Predictor[Any, Any]:
    """Return what looks at the pictures."""
    if variables.sage_maker_endpoint == LOCAL:
        return LocalDetector(SharedDetector(load_detector(settings.model_dir), Metrics()))
    return Endpoint(
        lambda config: session.client("sagemaker-runtime", config=config),
        variables.sage_maker_endpoint,
        variables.end_point_accept_content_type,
        variables.sage_maker_task_timeout_in_milli / 1000,
        variables.sage_maker_task_thread_pool_size,
    )


def _inference(
    predictor: Predictor[Any, Any], variables: Variables, metrics: StreamMetrics
) -> Inference[Any, Any]:
    """Return what has it done by several threads."""
    return Inference(
        predictor,
        variables.sage_maker_task_thread_pool_size,
        variables.sage_maker_task_timeout_in_milli / 1000,
        variables.thread_name,
        metrics,
    )


def _original(frame: StreamFrame, output: bytes, picture: bytes | None) -> bytes:
    return original_record(frame, output)
