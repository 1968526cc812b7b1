"""`pothole stream` as a process: a video is streamed, and records come with what is on the road."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kinesis_video import KinesisVideo
from live_fragments import groups_of
from support.clips import make_clip
from support.pictures import SIZE, road
from support.servers import ROOT
from support.streams import DataStream


def test_a_stream_becomes_records_and_is_given_back_on_sigterm(
    lease_table: Any, data_stream: DataStream, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 6, size=SIZE, picture=road)
    configuration = tmp_path / "stream.json"
    table = lease_table("a test")
    with KinesisVideo() as service, (tmp_path / "log").open("wb") as log:
        service.create("yard", {"Location": "Parking"})
        told = {
            "tagFilters": [{"key": "Location", "values": ["Front", "Parking"]}],
            "kdsStreamName": data_stream.name,
            "inferenceInterval": 2,
            "recordFormat": "json",
            "leaseTable": table._table,
            "leaseDurationInMilli": 2000,
        }
        configuration.write_text(json.dumps(told))
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/support/magenta_pothole.py"), "stream"],
            env=os.environ
            | {"AWS_ENDPOINT_URL_KINESIS_VIDEO": service.url, "STREAM_CONFIGURATION": str(configuration)},
            stdout=log,
            stderr=log,
        )
        try:
            records = _records(service, clip, data_stream, process, tmp_path / "log")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
    first = records[0]
    assert first["stream"] == "yard"
    assert [pothole["label"] for pothole in first["answer"]["output"]] == ["pothole"]
    assert [pothole["new"] for record in records for pothole in record["answer"]["output"]][:2] == [
        True,
        False,
    ]
    leases = {lease.key: lease for lease in table.all()}
    assert {lease.owner for lease in leases.values()} == {None}
    assert leases["yard"].checkpoint.fragment >= records[-1]["fragment"]


def _records(
    service: KinesisVideo, clip: Path, data: DataStream, process: "subprocess.Popen[bytes]", log: Path
) -> list[dict[str, Any]]:
    """Stream a clip as soon as somebody reads, and return the records of its three pictures."""
    end = time.monotonic() + 60
    sent = False
    while len(records := data.read()) < 3:
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        if not sent and service.get_media:
            sent = True
            time.sleep(0.2)  # the call is on its way
            service.produce("yard", list(groups_of(clip, 1 / 30)), speed=100).join()
        time.sleep(0.05)
    return records
