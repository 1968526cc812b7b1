"""Processing jobs that really run, as processes on this machine in place of containers."""

import json
import os
import subprocess
import tempfile
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3

CONTAINER_FOLDER, EXIT_MESSAGE = "/opt/ml/processing", "/opt/ml/output/message"
ACCOUNT = "000000000000"  # as ministack has it


class ProcessingJobs:
    """Runs each job in a folder of its own: fetch the inputs, run the command, take away the outputs.

    Args:
        pothole: The command that stands for `pothole`.
    """

    def __init__(self, pothole: list[str]) -> None:
        self._pothole = pothole
        self._threads: list[threading.Thread] = []

    def start(self, request: dict[str, Any]) -> None:
        """Run a job in the background.

        Args:
            request: As it was given to `CreateProcessingJob`.
        """
        thread = threading.Thread(target=self._run, args=(request,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Wait for the jobs that run."""
        for thread in self._threads:
            thread.join()

    def _run(self, request: dict[str, Any]) -> None:
        bucket = boto3.session.Session().resource("s3").Bucket
        with tempfile.TemporaryDirectory(prefix="processing-") as folder:
            for given in request["ProcessingInputs"]:
                source = given["S3Input"]
                name, _, prefix = source["S3Uri"].removeprefix("s3://").partition("/")
                target = _here(source["LocalPath"], folder)
                target.mkdir(parents=True)
                for found in bucket(name).objects.filter(Prefix=prefix):
                    bucket(name).download_file(found.key, str(target / found.key.rpartition("/")[2]))
            application = request["AppSpecification"]
            words: list[str] = [*application["ContainerEntrypoint"], *application["ContainerArguments"]]
            assert words[0] == "pothole"
            command = [*self._pothole, *(word.replace(CONTAINER_FOLDER, folder) for word in words[1:])]
            message = Path(folder, "message")
            # Of the environment a container gets what the request names.
            given = request.get("Environment", {}).items()
            environment = {name: text.replace(EXIT_MESSAGE, str(message)) for name, text in given}
            done = subprocess.run(
                command, env=os.environ | environment, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                reason = f"AlgorithmError: See job logs for more information, exit code: {done.returncode}"
                told = message.read_text() if message.is_file() else ""
                self._tell(request, "Failed", reason, told)
                return
            for wanted in request["ProcessingOutputConfig"]["Outputs"]:
                output = wanted["S3Output"]
                name, _, prefix = output["S3Uri"].removeprefix("s3://").partition("/")
                for path in _here(output["LocalPath"], folder).iterdir():
                    bucket(name).upload_file(str(path), f"{prefix}/{path.name}".lstrip("/"))
        self._tell(request, "Completed", "", "")

    def _tell(self, request: dict[str, Any], status: str, reason: str, message: str) -> None:
        """Start what EventBridge starts; the emulator takes events of AWS's own services from nobody."""
        session = boto3.session.Session()
        events, functions = session.client("events"), session.client("lambda")
        event = {
            "id": str(uuid.uuid4()),
            "account": ACCOUNT,
            "region": events.meta.region_name,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "resources": [],
            "source": "aws.sagemaker",
            "detail-type": "SageMaker Processing Job State Change",
            "detail": request
            | {"ProcessingJobStatus": status, "FailureReason": reason, "ExitMessage": message},
        }
        text = json.dumps(event)
        for rule in events.list_rules()["Rules"]:
            if events.test_event_pattern(EventPattern=rule["EventPattern"], Event=text)["Result"]:
                for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                    functions.invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=text)


def _here(path: str, folder: str) -> Path:
    return Path(path.replace(CONTAINER_FOLDER, folder))
