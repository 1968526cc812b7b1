"""Add to a bill of materials what packages of Python do not tell: libraries inside of wheels, and Debian.

Usage: sbom.py ENVIRONMENT BILL.json

ENVIRONMENT is the virtual environment that the bill was made of. The licences of the libraries are those of
their projects; of PyAV's build of FFmpeg it is what the build itself says.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

DOCKERFILE = Path(__file__).parents[1] / "container" / "Dockerfile"
GNU_EITHER = "LGPL-3.0-or-later OR GPL-2.0-or-later"
GCC_RUNTIME = "GPL-3.0-or-later WITH GCC-exception-3.1"
LICENCES = {
    "BSD-2-Clause": ("aec", "aom", "avif", "dav1d", "openjp2", "sz"),
    "BSD-3-Clause": (
        "hdf5",
        "hdf5_hl",
        "openblasp",
        "opus",
        "scipy_openblas64_",
        "sharpyuv",
        "vpx",
        "webp",
        "webpdemux",
        "webpmux",
        "zstd",
    ),
    "BSD-3-Clause-Clear": ("SvtAv1Enc",),
    "MIT": (
        "Xau",
        "brotlicommon",
        "brotlidec",
        "drm",
        "harfbuzz",
        "lcms2",
        "vpl",
        "xcb",
        "xcb-shape",
        "xcb-shm",
        "xcb-xfixes",
    ),
    "Apache-2.0": ("opencore-amrnb", "opencore-amrwb"),
    "IJG AND BSD-3-Clause AND Zlib": ("jpeg",),
    "FTL OR GPL-2.0-only": ("freetype",),
    "0BSD": ("lzma",),
    "libpng-2.0": ("png16",),
    "libtiff": ("tiff",),
    "OpenSSL": ("crypto", "ssl"),
    "GPL-2.0-or-later": ("x264", "x265"),
    "LGPL-2.0-or-later": ("mp3lame",),
    "LGPL-2.1-or-later": ("asound", "gnutls", "quadmath"),
    "LGPL-3.0-or-later": ("avcodec", "avdevice", "avfilter", "avformat", "avutil", "swresample", "swscale"),
    GNU_EITHER: ("gmp", "hogweed", "nettle", "unistring"),
    GCC_RUNTIME: ("gfortran",),
}
OF_LIBRARY = {library: licence for licence, libraries in LICENCES.items() for library in libraries}
OF_DEBIAN = {"nginx": "BSD-2-Clause", "python3": "PSF-2.0"}


def libraries(environment: Path, bill: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the libraries that came inside the wheels of a bill.

    Raises:
        SystemExit: The licence of one is not known here.
    """
    found = []
    for package in bill["components"]:
        folder = re.sub(r"[-.]+", "_", package["name"]) + ".libs"
        for file in sorted(environment.glob(f"lib/python*/site-packages/{folder}/*.so*")):
            match = re.fullmatch(r"lib(.+?)(?:-r0)?(?:-[0-9a-f]{8})+\.(?:so\.?)?(.*?)(?:\.so)?", file.name)
            name, version = match.groups() if match else (file.name, "")
            if name not in OF_LIBRARY:
                sys.exit(f"sbom.py: {folder}/{file.name} is in no line of LICENCES: add it with its licence.")
            found.append(component("library", name, version, OF_LIBRARY[name], package["name"]))
    return found


def debian() -> list[dict[str, Any]]:
    """Return what the image has from Debian by name; the base lists the rest in /usr/share/doc."""
    text = DOCKERFILE.read_text()
    ((base, version),) = re.findall(r"^ARG BASE=(\w+):([\w.]+)", text, re.MULTILINE)
    pinned = re.findall(r"'(\w+)=([\d.]+)-\*'", text)
    return [
        component("operating-system", base, version, None, "base"),
        *(component("application", name, release, OF_DEBIAN[name], base) for name, release in pinned),
    ]


def component(kind: str, name: str, version: str, licence: str | None, within: str) -> dict[str, Any]:
    """Return a component as CycloneDX writes it."""
    return {
        "bom-ref": f"{within}/{name}@{version}",
        "type": kind,
        "name": name,
        "version": version,
        "licenses": [{"expression": licence} if licence else {"license": {"name": "see /usr/share/doc"}}],
    }


def main() -> None:
    """Complete the bill in place."""
    environment, path = map(Path, sys.argv[1:])
    bill = json.loads(path.read_text())
    bill["components"] += [*libraries(environment, bill), *debian()]
    path.write_text(json.dumps(bill, indent=2) + "\n")


if __name__ == "__main__":
    main()
