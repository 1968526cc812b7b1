"""Videos of one folder that differ in their extension alone have outputs of different names.

Whoever comes first has `clip_output.mp4`, as the record of who publishes there says; the outputs of another
`clip.mov` are `clip.mov_output.mp4` and so on.
"""

from dataclasses import replace

from pothole.errors import AccessDenied, SourceNotFound
from pothole.job_order import Job
from pothole.jobs.files import JobFiles
from pothole.jobs.record import Record


def take_names(files: JobFiles, lease_s: int) -> Job:
    """Return the job with names for its outputs that no other video beside its source has.

    Args:
        files: The job's.
        lease_s: For the record, see `Record`.

    Raises:
        PotholeError: The storage failed.
    """
    key, ours = files.publishing_key, files.source_address
    while not files.job.names_extension:
        there, version = _read(files)
        if there and there.source and not _is_sibling(there.source, ours):
            break
        if there and there.source and _exists(there.source, files):
            return replace(files.job, names_extension=True)
        record = Record.new(id=key, source=ours, source_version="", lease_s=lease_s)
        if files.outputs.write(key, record.model_copy(update={"state": "interrupted"}).to_bytes(), version):
            break
    return files.job


def release_names(files: JobFiles) -> None:
    """Let the next video have the names of a job that failed, if nothing was ever published there.

    Raises:
        PotholeError: The storage failed.
    """
    there, version = _read(files)
    if there and there.source == files.source_address and not files.is_published():
        files.outputs.write(files.publishing_key, there.model_copy(update={"source": ""}).to_bytes(), version)


def _read(files: JobFiles) -> tuple[Record | None, str | None]:
    try:
        data, stat = files.outputs.read(files.publishing_key)
    except SourceNotFound:
        return None, None
    return Record.from_bytes(data), stat.version


def _is_sibling(theirs: str, ours: str) -> bool:
    """Say whether another video lies in the folder of ours."""
    return theirs != ours and _folder(theirs) == _folder(ours)


def _folder(address: str) -> str:
    return address.removesuffix("/").rpartition("/")[0]


def _exists(sibling: str, files: JobFiles) -> bool:
    folder, slash, _ = files.job.source_key.rpartition("/")
    try:
        files.source.stat(folder + slash + sibling.rpartition("/")[2])
    except SourceNotFound:
        return False
    except AccessDenied:  # S3's answer to whoever may not list the bucket, whether it is there or not
        return True
    return True
