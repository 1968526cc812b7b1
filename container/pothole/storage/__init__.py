"""Videos come from and go to S3 and local folders, behind one small seam, `Storage`."""

from pothole.storage.base import Confirm, Publish, Stat, Storage, publishing_at_once, version_at
from pothole.storage.disk import check_disk, disk_space
from pothole.storage.local import LocalStorage, file_errors, open_folder, open_own_folder
from pothole.storage.pictures import fetch_pictures, stat_pictures, stat_source
from pothole.storage.s3 import S3Storage, open_s3

__all__ = [
    "Confirm",
    "LocalStorage",
    "Publish",
    "S3Storage",
    "Stat",
    "Storage",
    "check_disk",
    "disk_space",
    "fetch_pictures",
    "file_errors",
    "open_folder",
    "open_own_folder",
    "open_s3",
    "publishing_at_once",
    "stat_pictures",
    "stat_source",
    "version_at",
]
