"""Potholes followed through a video: key frames, optical flow, association, interpolation."""
