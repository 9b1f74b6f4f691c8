"""Segments that leave a machine whose disk goes with it (AWS Lambda, jobs): moved at a flush, sealed where they arrive.

A segment goes from here once it is there whole, under the same name, so that what is interrupted is done again and
counts once. At the destination it is read as an open segment is, until `spanledger seal` is run on that address.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spanledger.ledger._files import OPEN, scan
from spanledger.ledger._locks import held
from spanledger.ledger._seal import Sealing, seal
from spanledger.ledger._ship import bring, copy, copy_new, place_of, ship, sizes_at


def send(root: Path, destination: str) -> int:
    """Moves the segments of the ledger at `root` that nobody writes to `destination`; returns how many.

    Raises `LedgerError` that names the segment that could not be copied; it stays, for the next time.
    """
    filesystem, base = place_of(destination)
    copy_new(filesystem, root / "meta.json", f"{base}/meta.json")
    sent = 0
    for segment in scan(root).open:
        with held(segment.path) as mine:
            sent += mine and _move(filesystem, segment.path, f"{base}/{OPEN}/{segment.path.name}")
    return sent


def seal_there(address: str) -> Sealing:
    """Seals the segments that were sent to `address`: brings them here, and ships what they become.

    They are removed there only when their sealed files have arrived. Raises `LedgerError` as `ship` and `seal` do.
    """
    filesystem, base = place_of(address)
    sizes = {name: size for name, size in sizes_at(filesystem, base).items() if name.startswith(OPEN)}
    with TemporaryDirectory(prefix="spanledger-") as folder:
        root = Path(folder)
        bring(filesystem, base, root, sizes)
        done = seal(root)
        ship(root, address)
        for name in sizes:
            if not (root / name).exists():
                filesystem.rm_file(f"{base}/{name}")
    return done


def _move(filesystem: Any, path: Path, target: str) -> bool:
    """Whether there was anything in it; an empty one just goes."""
    filled = path.stat().st_size > 0
    if filled:
        copy(filesystem, path, target)
    path.unlink()
    return filled
