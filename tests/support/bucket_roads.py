"""A bucket with clips of roads, and requests for them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask.testing import FlaskClient

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass
class Road:
    """A bucket with a clip in it, and the server beside it."""

    client: FlaskClient
    s3: "S3Client"
    bucket: str
    folder: Path

    def put(self, key: str, data: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)

    def job(self, key: str, **fields: Any) -> Any:
        """Ask for a video, of which each frame is looked at unless `fields` say otherwise."""
        known = {"s3_bucket": self.bucket, "s3_source_filename": key, "is_live": True, "frame_interval": 1}
        return self.client.post("/invocations", json={"input": known | fields})

    def etags(self) -> dict[str, str]:
        """What is there beside the records."""
        return {key: etag for key, etag in self._listed().items() if ".pothole/" not in key}

    def records(self) -> list[dict[str, Any]]:
        keys = [key for key in self._listed() if key.endswith("/record.json")]
        return [json.load(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"]) for key in keys]

    def _listed(self) -> dict[str, str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {item["Key"]: item["ETag"] for item in listed}
