"""The stages of a job side by side, and the segments in which it works."""
