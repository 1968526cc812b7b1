"""The stand-in for Kinesis Video answers boto3 as the service does, and sends Matroska with its tags."""

import io
from collections.abc import Iterator
from typing import Any

import av
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from kinesis_video import KinesisVideo
from live_fragments import Group, groups_of
from support.clips import make_clip


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> list[Group]:
    clip = make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 24, size=(128, 96))
    return list(groups_of(clip, seconds=0.2))


@pytest.fixture
def service() -> Iterator[KinesisVideo]:
    with KinesisVideo(idle_s=0.5, stall_s=0.2) as service:
        service.create("road", {"Location": "Front"})
        yield service


def client(service: KinesisVideo, kind: str = "kinesisvideo") -> Any:
    return boto3.client(
        kind,
        endpoint_url=service.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


def media(service: KinesisVideo, start: str = "EARLIEST", **selector: Any) -> bytes:
    asked = client(service, "kinesis-video-media").get_media(
        StreamName="road", StartSelector={"StartSelectorType": start, **selector}
    )
    return asked["Payload"].read()  # type: ignore[no-any-return]


def put(service: KinesisVideo, groups: list[Group], **options: Any) -> list[str]:
    service.produce("road", groups, speed=1000, **options).join()
    return service.fragments("road")


def test_streams_are_made_listed_and_tagged(service: KinesisVideo) -> None:
    kinesis = client(service)
    kinesis.create_stream(StreamName="lane", DataRetentionInHours=1, Tags={"Location": "Rear"})
    kinesis.tag_stream(StreamName="lane", Tags={"Car": "7"})
    pages = kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 1})
    assert [info["StreamName"] for page in pages for info in page["StreamInfoList"]] == ["lane", "road"]
    starting = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "ro"}
    assert len(kinesis.list_streams(StreamNameCondition=starting)["StreamInfoList"]) == 1
    assert kinesis.list_tags_for_stream(StreamName="lane")["Tags"] == {"Location": "Rear", "Car": "7"}
    info = kinesis.describe_stream(StreamName="lane")["StreamInfo"]
    assert info["Status"] == "ACTIVE"
    kinesis.delete_stream(StreamARN=info["StreamARN"])
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        kinesis.describe_stream(StreamName="lane")
    assert kinesis.get_data_endpoint(StreamName="road", APIName="GET_MEDIA")["DataEndpoint"] == service.url


def test_every_fragment_is_a_document_with_a_key_frame_and_the_tags_of_the_service(
    service: KinesisVideo, groups: list[Group]
) -> None:
    numbers = put(service, groups)
    sent = media(service)
    assert sent.count(b"\x1a\x45\xdf\xa3") == len(groups) == len(numbers)
    with av.open(io.BytesIO(sent)) as document:
        assert document.metadata["AWS_KINESISVIDEO_FRAGMENT_NUMBER"] == numbers[0]
        packets = [packet for packet in document.demux(video=0) if packet.size]
    assert len(packets) == 24
    assert sum(packet.is_keyframe for packet in packets) == len(groups)
    assert all(number.encode() in sent for number in numbers)
    assert sent.count(b"AWS_KINESISVIDEO_MILLIS_BEHIND_NOW") == len(groups)


def test_a_reader_begins_where_it_says(service: KinesisVideo, groups: list[Group]) -> None:
    numbers = put(service, groups)
    rest = media(service, "FRAGMENT_NUMBER", AfterFragmentNumber=numbers[1])
    assert numbers[1].encode() not in rest.replace(numbers[2].encode(), b"")
    assert numbers[2].encode() in rest
    assert media(service, "NOW") == b""
    with pytest.raises(ClientError, match="InvalidArgumentException"):
        media(service, "FRAGMENT_NUMBER", AfterFragmentNumber="1")
    archive = client(service, "kinesis-video-archived-media")
    assert [f["FragmentNumber"] for f in archive.list_fragments(StreamName="road")["Fragments"]] == numbers
    some = archive.get_media_for_fragment_list(StreamName="road", Fragments=numbers[2:4])["Payload"].read()
    assert some.count(b"\x1a\x45\xdf\xa3") == 2


def test_faults_come_as_the_service_has_them(service: KinesisVideo, groups: list[Group]) -> None:
    put(service, groups)
    for kind in ("throttle", "down"):
        service.fault("road", kind)
        with pytest.raises(ClientError):
            media(service)
    service.fault("road", "error:4500")
    told = media(service)
    assert b"AWS_KINESISVIDEO_ERROR_ID" in told
    assert b"KMS_KEY_ACCESS_DENIED" in told
    service.fault("road", "stall")
    assert media(service) == b""
    service.fault("road", "cut")
    with pytest.raises(Exception, match=r"(?i)incomplete|broken|closed|aborted|reset"):
        media(service)
    kinesis = client(service, "kinesis-video-media")
    with pytest.raises(ClientError, match="ClientLimitExceeded"):
        for _ in range(20):
            kinesis.get_media(StreamName="road", StartSelector={"StartSelectorType": "NOW"})[
                "Payload"
            ].close()


def test_a_camera_that_restarts_begins_at_0_again(service: KinesisVideo, groups: list[Group]) -> None:
    numbers = put(service, groups, rounds=2, restarts=True)
    assert len(numbers) == len(set(numbers)) == 2 * len(groups)
    assert numbers == sorted(numbers)
    assert media(service).count(b"AWS_KINESISVIDEO_PRODUCER_TIMESTAMP") == 2 * len(groups)
