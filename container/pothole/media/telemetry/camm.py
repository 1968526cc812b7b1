"""This module reads CAMM, the camera motion metadata of Street View's cameras and others.

A packet is two bytes of nothing, two with its type, and numbers, all little-endian
(https://developers.google.com/streetview/publish/camm-spec). Types 5 and 6 have a position.
"""

import math
import struct
from datetime import UTC, datetime

from pothole.media.telemetry.fixes import Fix

SIZES = {0: 12, 1: 8, 2: 12, 3: 12, 4: 12, 5: 24, 6: 56, 7: 12}  # bytes of the numbers, by type
GPS_EPOCH = datetime(1980, 1, 6, tzinfo=UTC).timestamp()
LEAP_SECONDS = 18.0  # by which GPS's clock is ahead of UTC since 2017
MIN_FIX = 2
MIN_SPEED = 0.5  # metres a second from which a velocity has a direction


def is_camm(data: bytes) -> bool:
    """Say whether a packet can be one of CAMM."""
    if len(data) < 4 or data[:2] != b"\0\0":
        return False
    return SIZES.get(struct.unpack_from("<H", data, 2)[0]) == len(data) - 4


def read_packet(data: bytes, time: float) -> Fix | None:
    """Return the position of a packet; None for one of another type.

    Args:
        data: The packet.
        time: Seconds of the video.
    """
    if not is_camm(data):
        return None
    kind = struct.unpack_from("<H", data, 2)[0]
    if kind == 5:
        lat, lon, altitude = struct.unpack_from("<3d", data, 4)
        return Fix(time, None, lat, lon, altitude=altitude)
    if kind == 6:
        return _full(data, time)
    return None


def _full(data: bytes, time: float) -> Fix:
    gps_time, fix, lat, lon, altitude, accuracy, _, east, north, _, _ = struct.unpack_from("<didd7f", data, 4)
    speed = math.hypot(east, north)
    heading = math.degrees(math.atan2(east, north)) % 360 if speed >= MIN_SPEED else None
    return Fix(
        time=time,
        utc=gps_time + GPS_EPOCH - LEAP_SECONDS if 0 < gps_time < 4e9 else None,
        lat=lat,
        lon=lon,
        altitude=altitude,
        speed=speed,
        heading=heading,
        accuracy=accuracy if 0 < accuracy < 1000 else None,
        is_valid=fix >= MIN_FIX,
    )
