"""make audit fails where it finds a vulnerability, and where nothing could be audited."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("packages", "audit_exits", "says"),
    [
        ("numpy==2.0", 0, None),
        ("numpy==2.0", 1, "pip-audit"),  # a vulnerability, a package that is not known, or no answer
        ("", 0, "test -s"),
    ],
)
def test_it_fails_unless_packages_were_audited(tmp_path, packages, audit_exits, says):
    script(tmp_path / "bin/python", f"echo '{packages}'" if packages else "true")
    script(tmp_path / "audit/bin/pip-audit", f'echo "audited $@"; exit {audit_exits}')
    words = ["make", "audit", "INSTALLED=", f"BIN={tmp_path}/bin", f"AUDIT={tmp_path}/audit"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (says is None), done.stdout + done.stderr
    assert ("audited --strict" in done.stdout) == bool(packages)
    if packages:
        assert (tmp_path / "audit/packages.txt").read_text(encoding="utf-8").strip() == packages


def script(path: Path, line: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    os.chmod(path, 0o755)
