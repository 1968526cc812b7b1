"""Marks the potholes of road videos with a Mask R-CNN. Read `job.run_job` first."""

__version__ = "0.1.0"
