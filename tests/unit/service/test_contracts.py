"""The picture of the architecture holds: who may import whom."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_import_contracts_hold() -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    linted = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "0 broken" in linted.stdout


def test_importing_the_service_opens_and_starts_nothing() -> None:
    program = (
        "import socket, subprocess, threading\n"
        "def refuse(*_args, **_kwargs): raise AssertionError('import has an effect')\n"
        "socket.socket.connect = socket.socket.bind = subprocess.Popen.__init__ = threading.Thread.start = refuse\n"
        "import service.__main__, service.app\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, check=True, timeout=60)
