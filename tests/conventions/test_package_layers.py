"""The house's own rules."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_no_room_imports_what_lies_beside_or_above_it():
    completed = subprocess.run(  # noqa: S603
        [str(Path(sys.executable).parent / "lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout


def test_the_lock_names_no_address():
    for file in ("requirements.lock", "requirements-dev.lock", "deploy/frontend/package-lock.json"):
        text = (ROOT / file).read_text()
        addresses = [line for line in text.splitlines() if "://" in line and '"url": "https://' not in line]
        assert '"resolved"' not in text, file
        assert addresses == [], file
