"""The first video through a new deployment, as a user would send one."""

import io
import time
from fractions import Fraction

import av
import boto3
import numpy as np
from botocore.exceptions import ClientError

from stacks import Failed

KEY = "smoke/road.mp4"
OUTPUT = "smoke/road_output.mp4"
FRAMES = 15


def smoke_job(bucket: str, patience_s: float) -> float:
    """Upload a half-second video, wait for its marked copy, and delete both.

    Args:
        bucket: The bucket of the videos.
        patience_s: How long to wait; an asynchronous endpoint without instances takes ten minutes to get one.

    Returns:
        Seconds from the upload to the marked video.

    Raises:
        Failed: No marked video came in time.
    """
    s3 = boto3.client("s3")
    started = time.monotonic()
    s3.put_object(Bucket=bucket, Key=KEY, Body=_clip(), ContentType="video/mp4")
    try:
        while not _exists(s3, bucket):
            if time.monotonic() - started > patience_s:
                raise Failed(
                    f"s3://{bucket}/{KEY} was uploaded, and no marked video came in "
                    f"{patience_s / 60:.0f} minutes. "
                    "docs/how-to/operate.md says where to look."
                )
            time.sleep(min(5.0, 0.2 + (time.monotonic() - started) / 10))
        return time.monotonic() - started
    finally:
        for key in (KEY, OUTPUT, OUTPUT.replace(".mp4", ".json")):
            s3.delete_object(Bucket=bucket, Key=key)


def _exists(s3: object, bucket: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=OUTPUT)  # type: ignore[attr-defined]
    except ClientError as exc:
        if exc.response["Error"]["Code"] != "404":
            raise
        return False
    return True


def _clip() -> bytes:
    """Return an MP4 of a grey surface that brightens."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        for number in range(FRAMES):
            picture = np.full((192, 320, 3), 90 + 2 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()
