"""`install_system_packages.sh` where there is nothing for it to do, or nothing that it can do."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "local_test" / "install_system_packages.sh"


@pytest.fixture
def run(tmp_path):
    """Runs the script on a machine without apt-get that has `bash`, `env` and `installed`."""
    for name in ("bash", "env"):
        found = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
        (tmp_path / name).symlink_to(found)
    (tmp_path / "installed").write_text("#!/bin/sh\n")
    (tmp_path / "installed").chmod(0o755)

    def run(*packages: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(tmp_path)}
        return subprocess.run(
            [SCRIPT, *packages], env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_what_is_there_is_left_alone(run):
    done = run("installed")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_cannot_be_installed_is_named_and_the_caller_goes_on(run):
    done = run("installed", "no-such-package")
    assert done.returncode == 0
    assert "by hand" in done.stderr
    assert "no-such-package" in done.stderr
    assert "installed," not in done.stderr


def test_usage(run):
    done = run()
    assert done.returncode == 2
    assert "PACKAGE" in done.stderr
