"""Scratch objects are of use to jobs alone; a tag on them lets the rules of a bucket clear them away."""

FOLDER = ".pothole"  # beside the outputs; a folder for each job is in it


def tagging(key: str) -> dict[str, str]:
    """Return how S3 is to tag an object; with nothing, if it is of use to others than jobs.

    A rule of a bucket names objects by a tag or by the beginning of their keys, and the folders of jobs lie
    anywhere. `pothole=record` is on records: each heartbeat leaves an old version in a bucket that keeps
    versions. `pothole=segment` is on parts of outputs, which are deleted at the end of a job and left where a
    job never ends.

    Args:
        key: Of the object.
    """
    _, found, below = f"/{key}".rpartition(f"/{FOLDER}/")
    if not found:
        return {}
    return {"Tagging": f"pothole={'segment' if '/segments/' in below else 'record'}"}
