"""Sealing in a process of its own: query engines do not belong in a process that may fork."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path


def spawn_sealing(ledger: Path) -> None:
    """Starts `spanledger seal`, where this process is a Python that can: inside uWSGI `sys.executable` is uWSGI."""
    if not Path(sys.executable or "").name.startswith("python"):
        return
    command = [sys.executable, "-m", "spanledger", "seal", "--nice", str(ledger)]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    run = {"args": command, "start_new_session": True, "check": False, **quiet}
    threading.Thread(target=subprocess.run, kwargs=run, name="spanledger-seal", daemon=True).start()
