"""Segments that leave a machine whose disk goes with it (AWS Lambda, jobs): moved at a flush, sealed where they arrive.

A segment goes from here once it is there whole, under the same name, so that what is interrupted is done again and
counts once. At the destination it is read as an open segment is, until `spanledger seal` is run on that address.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spanledger.ledger._files import OPEN, scan
from spanledger.ledger._locks import held
from spanledger.ledger._seal import Sealing, seal
from spanledger.ledger._ship import bring, cache_of, copy, copy_new, place_of, ship, sizes_at
from spanledger.ledger._workspace import workspace


def send(root: Path, destination: str) -> int:
    """Moves the segments of the ledger at `root` that nobody writes to `destination`; returns how many.

    Raises `LedgerError` that names the segment that could not be copied; it stays, for the next time.
    """
    segments = scan(root).open
    if not segments:
        return 0
    filesystem, base = place_of(destination)
    copy_new(filesystem, root / "meta.json", base, "meta.json")
    sent = 0
    for segment in segments:
        with held(segment.path) as mine:
            sent += mine and _move(filesystem, segment.path, base)
    return sent


def seal_there(address: str) -> Sealing:
    """Seals the segments that were sent to `address`: brings them here, and ships what they become.

    What is brought lies where the copy for questions does. Segments go from there only when their sealed files have
    arrived. Raises `LedgerError` as `ship` and `seal` do.
    """
    filesystem, base = place_of(address)
    sizes = {name: size for name, size in sizes_at(filesystem, base).items() if name.startswith(OPEN)}
    copies = cache_of(address)
    copies.mkdir(mode=0o700, parents=True, exist_ok=True)
    with workspace(copies) as root:
        bring(filesystem, base, root, sizes)
        done = seal(root)
        ship(root, address)
        for name in sizes:
            if not (root / name).exists():
                filesystem.rm_file(f"{base}/{name}")
    return done


def _move(filesystem: Any, path: Path, base: str) -> bool:
    """Whether there was anything in it; an empty one just goes."""
    filled = path.stat().st_size > 0
    if filled:
        copy(filesystem, path, base, f"{OPEN}/{path.name}")
    path.unlink()
    return filled
