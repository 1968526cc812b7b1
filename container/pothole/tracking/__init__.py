"""This package follows objects through a video: key frames, flow, association, interpolation."""
