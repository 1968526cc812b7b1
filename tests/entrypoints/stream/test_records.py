"""Records: their two forms, and how they get into a real stream."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pothole.entrypoints.stream.metrics import StreamMetrics
from pothole.entrypoints.stream.records import RecordStream, StreamFrame, json_record, original_record
from pothole.errors import Interrupted, TooLarge
from support.streams import DataStream

NUMBER = "91343852333181432392682062622220590765191907586"
FRAME = StreamFrame("front-1", NUMBER, 1553120371155, 1553120370000, 1, 40)


def test_the_original_form_has_the_words_of_awss_application() -> None:
    record = json.loads(original_record(FRAME, b'{"prediction": [[0, 0.9, 0, 0, 1, 1]]}'))
    assert record == {
        "streamName": "front-1",
        "fragmentMetaData": f"FragmentMetadata(fragmentNumberString={NUMBER}, "
        "serverSideTimestampMillis=1553120371155, producerSideTimestampMillis=1553120370000, "
        f"fragmentNumber={NUMBER}, success=true, errorId=0, errorCode=null, "
        "millisBehindNow=OptionalLong.empty, continuationToken=Optional.empty)",
        "frameMetaData": "Frame(trackNumber=1, timeCode=40, keyFrame=true, invisible=false, "
        "discardable=false, lacing=NO)",
        "sageMakerOutput": base64.b64encode(b'{"prediction": [[0, 0.9, 0, 0, 1, 1]]}').decode(),
    }


def test_the_form_in_json_holds_the_answer_as_it_is_and_the_picture_if_wanted() -> None:
    record = json.loads(json_record(FRAME, b'{"output": []}', b"\xff\xd8"))
    assert record == {
        "stream": "front-1",
        "fragment": NUMBER,
        "time": "2019-03-20T22:19:30.000+00:00",
        "ingested": "2019-03-20T22:19:31.155+00:00",
        "track_number": 1,
        "timecode_ms": 40,
        "answer": {"output": []},
        "picture_base64": "/9g=",
    }
    binary = json.loads(json_record(FRAME, b"\x00\xff", None))
    assert "answer" not in binary and binary["answer_base64"] == "AP8="


class Failing:
    """A client of Kinesis that at first takes only some records of each call."""

    def __init__(self, stream: DataStream, refuses: set[int]) -> None:
        self.stream, self.refuses, self.calls = stream, refuses, list[list[str]]()

    def put_records(self, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.calls.append([record["PartitionKey"] for record in Records])
        if len(self.calls) in self.refuses:
            taken = Records[::2]
            refused = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down"}
        else:
            taken, refused = Records, {}
        answers = (
            self.stream.client.put_records(StreamName=StreamName, Records=taken)["Records"] if taken else []
        )
        return {"Records": [answers[taken.index(r)] if r in taken else refused for r in Records]}


def test_what_is_not_taken_is_sent_again_and_nothing_of_its_stream_overtakes_it(
    data_stream: DataStream,
) -> None:
    client, metrics = Failing(data_stream, {1, 2, 4, 5}), StreamMetrics()
    with RecordStream(client, data_stream.name, metrics) as records, ThreadPoolExecutor(8) as pool:
        begin = threading.Barrier(8)

        def write(stream: int) -> None:
            begin.wait()
            for number in range(10):
                records.put(f"s{stream}", json.dumps([stream, number]).encode())

        list(pool.map(write, range(8)))
    found: list[Any] = data_stream.read()
    for stream in range(8):
        assert [number for of, number in found if of == stream] == list(range(10))
    assert all(len(set(call)) == len(call) for call in client.calls)
    assert len(client.calls) < 80, "records of several streams do not go together"


def test_a_record_that_kinesis_never_takes_is_refused_with_its_size(data_stream: DataStream) -> None:
    with RecordStream(data_stream.client, data_stream.name, StreamMetrics()) as records:
        records.put("road", bytes(2**20 - 4).replace(b"\0", b"1"))
        with pytest.raises(TooLarge, match="of road has 1048577 bytes, and 1048576 are taken"):
            records.put("road", bytes(2**20 - 3))


def test_who_waits_for_a_record_when_the_consumer_ends_is_told() -> None:
    class Silent:
        def put_records(self, **_: Any) -> dict[str, Any]:
            return {"Records": [{"ErrorCode": "InternalFailure"}]}

    records = RecordStream(Silent(), "none", StreamMetrics())
    with ThreadPoolExecutor(1) as pool:
        with records:
            waiting = pool.submit(records.put, "road", b"{}")
        with pytest.raises(Interrupted):
            waiting.result()
