"""`local_test/sbom.py`, on the wheels that are installed here."""

import json
import re
import subprocess
import sys
from pathlib import Path

from support.servers import ROOT

ENVIRONMENT = Path(sys.prefix)


def complete(bill: Path, environment: Path = ENVIRONMENT) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, ROOT / "local_test" / "sbom.py", environment, bill]
    return subprocess.run(script, capture_output=True, text=True, check=False)


def test_every_library_in_our_wheels_is_listed_with_its_licence(tmp_path):
    lock = (ROOT / "container" / "requirements.lock").read_text()
    names = re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)
    bill = tmp_path / "sbom.json"
    bill.write_text(json.dumps({"components": [{"name": name} for name in names]}))
    done = complete(bill)
    assert done.returncode == 0, done.stderr
    added = json.loads(bill.read_text())["components"][len(names) :]
    licences = {item["name"]: item["licenses"][0].get("expression") for item in added}
    assert licences["x264"] == licences["x265"] == "GPL-2.0-or-later"
    assert licences["nginx"] == "BSD-2-Clause"
    assert {"debian", "python3", "avcodec", "openblasp", "hdf5", "jpeg", "scipy_openblas64_"} <= set(licences)
    assert len({item["bom-ref"] for item in added}) == len(added)


def test_a_library_that_nobody_has_looked_at_is_named(tmp_path):
    folder = tmp_path / "lib" / "python3.11" / "site-packages" / "av.libs"
    folder.mkdir(parents=True)
    (folder / "libnovel-0123abcd.so.1").touch()
    bill = tmp_path / "sbom.json"
    bill.write_text('{"components": [{"name": "av"}]}')
    done = complete(bill, tmp_path)
    assert done.returncode == 1
    assert "av.libs/libnovel-0123abcd.so.1" in done.stderr
