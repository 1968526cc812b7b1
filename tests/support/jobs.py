"""Asking a server for jobs, and looking at what became of them in S3."""

import json
from typing import TYPE_CHECKING, Any

import requests

from support.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def ask(server: Server, bucket: str, key: str, **fields: Any) -> requests.Response:
    body = {"input": {"s3_bucket": bucket, "s3_source_filename": key, "is_live": True, **fields}}
    return requests.post(f"{server.url}/invocations", json=body, timeout=900)


def content(s3: "S3Client", bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def keys(s3: "S3Client", bucket: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def all_records(s3: "S3Client", bucket: str) -> list[dict[str, Any]]:
    return [json.loads(content(s3, bucket, key)) for key in keys(s3, bucket) if key.endswith("/record.json")]


def metric(server: Server, name: str) -> float:
    """Return one figure of a server's /metrics, 0 for one that it has not counted yet."""
    text = requests.get(f"{server.url}/metrics", timeout=10).text
    found = [line.split()[-1] for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(found[0]) if found else 0.0
