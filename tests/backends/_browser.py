"""A real browser without a screen: what a page of a backend shows, as text and as a picture."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-proxy-server",
)
TAG = re.compile(r"<(style|script).*?</\1>|<[^>]*>", re.DOTALL)

DOCS = "SPANLEDGER_DOCS"
"""The documentation, where its pictures are to be taken anew; without it they go nowhere."""


def look(url: str, picture: str, *, size: str = "1200,700", patience: int = 20_000) -> str:
    """The text of a page once it has loaded, and its picture for the documentation. `patience` is milliseconds."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    with tempfile.TemporaryDirectory() as profile:
        target = Path(profile, "page.png")
        asked = [browser, *FLAGS, f"--user-data-dir={profile}", f"--window-size={size}"]
        waiting = f"--virtual-time-budget={patience}"
        shown = html.unescape(TAG.sub("", _run([*asked, waiting, "--dump-dom", url])))
        _run([*asked, waiting, f"--screenshot={target}", url])
        assert target.read_bytes().startswith(b"\x89PNG")
        if docs := os.environ.get(DOCS):
            shutil.copy(target, Path(docs, "assets", f"{picture}.png"))
    return shown


def _run(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
