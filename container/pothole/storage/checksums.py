"""Checksums say whether a file is the object that S3 has."""

import base64
import hashlib
import re
import zlib
from pathlib import Path
from typing import Any

from pothole.files import MIB


def is_whole(path: Path, head: dict[str, Any]) -> bool:
    """Say whether a file is what S3 knows of the object, by a checksum of the whole where there is one.

    Args:
        path: The file.
        head: What S3 answers when it is asked for the object's head.
    """
    crc32: str = head.get("ChecksumCRC32", "")
    if crc32 and "-" not in crc32:  # a dash follows the checksum of an upload's parts
        return _crc32(path) == crc32
    md5: str = head["ETag"].strip('"')
    if re.fullmatch(r"[0-9a-f]{32}", md5) and head.get("ServerSideEncryption", "AES256") == "AES256":
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5
    return path.stat().st_size == int(head["ContentLength"])


def _crc32(path: Path) -> str:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(MIB):
            crc = zlib.crc32(block, crc)
    return base64.b64encode(crc.to_bytes(4)).decode()
