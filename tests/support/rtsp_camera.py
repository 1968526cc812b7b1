"""A camera on the network: an RTSP server over TCP that sends a clip again and again (RFC 2326, RFC 6184)."""

import base64
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av

SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=camera
t=0 0
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}
a=control:track0
"""
RTCP = 200  # type of a sender's report


class _Packets:
    """Takes RTP packets from FFmpeg and sends them between the lines of RTSP."""

    def __init__(self, connection: socket.socket, is_still: bool) -> None:
        self._connection, self._is_still = connection, is_still

    def write(self, data: bytes) -> int:
        if self._is_still and data[1] != RTCP:
            data = bytes(data[:4]) + bytes(4) + bytes(data[8:])
        channel = 1 if data[1] == RTCP else 0
        self._connection.sendall(b"$" + bytes([channel]) + len(data).to_bytes(2, "big") + bytes(data))
        return len(data)


class _Handler(socketserver.StreamRequestHandler):
    server: "_Server"

    def handle(self) -> None:
        while method := self._method():
            if method == "TEARDOWN":
                return
            body = SDP.format(sets=self.server.sets).replace("\n", "\r\n") if method == "DESCRIBE" else ""
            headers = {
                "OPTIONS": "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
                "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n",
                "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
            }.get(method, "Session: 1\r\n")
            answer = f"RTSP/1.0 200 OK\r\nCSeq: {self._number}\r\n{headers}\r\n{body}"
            self.wfile.write(answer.encode())
            if method == "PLAY":
                with suppress(OSError, av.FFmpegError):  # the other side goes when it has seen enough
                    self._play()
                return

    def _method(self) -> str:
        first = self.rfile.readline().decode()
        while (line := self.rfile.readline().decode().strip()) and first:
            name, _, value = line.partition(":")
            if name.lower() == "cseq":
                self._number = value.strip()
        return first.partition(" ")[0]

    def _play(self) -> None:
        began, shift, sent = time.monotonic(), 0, 0
        with av.open(
            _Packets(self.connection, self.server.is_still),
            "w",
            format="rtp",
            container_options={"packetsize": "1400"},
        ) as out:
            copy = None
            while True:
                with av.open(self.server.clip) as source:
                    stream = source.streams.video[0]
                    copy = copy or out.add_stream_from_template(stream)
                    for packet in source.demux(stream):
                        if packet.dts is None or (packet.is_keyframe and not self.server.has_keys):
                            continue
                        packet.dts += shift
                        packet.pts = (packet.pts or 0) + shift
                        due = began + float(packet.dts * stream.time_base) / self.server.speed
                        time.sleep(max(0.0, due - time.monotonic()))
                        packet.stream = copy
                        out.mux(packet)
                        sent += 1
                        if sent == self.server.breaks_off_after:
                            return
                    shift += stream.duration or 0


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True
    clip: Path
    sets: str
    speed: float
    has_keys: bool
    is_still: bool
    breaks_off_after: int


def _parameter_sets(box: bytes) -> Iterator[str]:
    """Yield the SPS and PPS of an avcC box: a count of each, and each after its length."""
    at = 5
    for mask in (31, 255):
        count, at = box[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(box[at : at + 2], "big")
            yield base64.b64encode(box[at + 2 : at + 2 + size]).decode()
            at += 2 + size


@contextmanager
def camera(
    clip: Path, speed: float = 1.0, has_keys: bool = True, is_still: bool = False, breaks_off_after: int = 0
) -> Iterator[str]:
    """Yield the address of a camera that films an H.264 clip.

    Args:
        clip: The file.
        speed: How many times as fast it is sent.
        has_keys: Whether key frames are sent.
        is_still: All time stamps are the same.
        breaks_off_after: Frames after which it ends; 0 for never.
    """
    with av.open(clip) as source:
        extra = bytes(source.streams.video[0].codec_context.extradata or b"")
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.clip, server.sets, server.speed = clip, ",".join(_parameter_sets(extra)), speed
        server.has_keys, server.is_still = has_keys, is_still
        server.breaks_off_after = breaks_off_after
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"rtsp://user:secret@127.0.0.1:{server.server_address[1]}/front"
        server.shutdown()
