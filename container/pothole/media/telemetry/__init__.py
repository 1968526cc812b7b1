"""Tracks of positions come from GPX, NMEA and CSV files, and out of the video itself.

Start with `track.GpsTrack`, which all readers lead to, and with `reader`, which finds the right one.
"""

from pothole.media.telemetry.track import GpsTrack, Position

__all__ = ["GpsTrack", "Position"]
