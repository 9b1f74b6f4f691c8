"""Shipping: sealed files to any place that fsspec reaches (`s3://`, `gs://`, `abfs://`, a path), many hosts into one.

Sealed files never change and their names are unique in the world, so a file that is there with the same size is done:
an interrupted shipment goes on where it stopped, and shipping again ships nothing. A merged file is copied before the
files that it replaces are removed at the destination, and readers know which those are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from spanledger.errors import LedgerError, MissingExtraError
from spanledger.ledger._files import OPEN, SEALED, Files, Sealed, day_of, scan
from spanledger.ledger._locks import sync
from spanledger.ledger._period import ALWAYS, Period
from spanledger.ledger._workspace import remove_abandoned, workspace
from spanledger.ledger.engines.duckdb import DuckDB


class Shipped(NamedTuple):
    """What one shipment did; `there` files had arrived before, `replaced` ones went because a merged one came."""

    files: int
    bytes: int
    there: int
    replaced: int


def ship(root: Path, destination: str, options: dict[str, Any] | None = None) -> Shipped:
    """Copies the sealed files of the ledger at `root`; `options` are fsspec's for that kind of place.

    Raises `LedgerError` that names the file that could not be copied; what arrived before stays and is not sent again.
    """
    filesystem, base = place_of(destination, options)
    database = DuckDB()
    sealed = [file.path for file in scan(root).sealed]
    facts = database.facts(sealed)
    sizes = sizes_at(filesystem, base)
    copy_new(filesystem, root / "meta.json", base, "meta.json")
    files = sent = 0
    for path in sealed:
        name = _name(root, path)
        if sizes.get(name) != path.stat().st_size:
            copy(filesystem, path, base, name)
            files, sent = files + 1, sent + path.stat().st_size
    gone = [name for path in sealed for name in _replaced(root, path, facts[path].replaces) if name in sizes]
    for name in gone:
        filesystem.rm_file(f"{base}/{name}")
    return Shipped(files, sent, len(sealed) - files, len(gone))


def fetch(source: str, root: Path, options: dict[str, Any] | None = None, within: Period = ALWAYS) -> Path:
    """The other way: brings what stands at `source` up to date in the directory `root`, and returns that.

    Sealed files of other days than those `within` stay where they are. Files that are no longer at the source were
    merged or sealed there, and go here too.
    """
    filesystem, base, sizes = shipped_at(source, options)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_abandoned(root)
    bring(filesystem, base, root, {name: size for name, size in sizes.items() if _concerns(root / name, within)})
    here = scan(root)
    for path in (*(file.path for file in here.sealed), *(segment.path for segment in here.open)):
        if _name(root, path) not in sizes:
            path.unlink()
    return root


def shipped_at(source: str, options: dict[str, Any] | None = None) -> tuple[Any, str, dict[str, int]]:
    """What stands at `source`: the file system, the path in it, and files with their sizes. One listing, no reading.

    Raises `LedgerError` where nothing does.
    """
    filesystem, base = place_of(source, options)
    sizes = sizes_at(filesystem, base)
    if not sizes:
        msg = f"{source}: there is no shipped ledger here; `spanledger ship LEDGER {source}` puts one"
        raise LedgerError(msg)
    return filesystem, base, sizes


def _concerns(path: Path, within: Period) -> bool:
    """Whether a file may have charges of the period: an open segment may have any."""
    return path.suffix != ".parquet" or bool(Files((), (Sealed(path, day_of(path.parent)),)).within(within).sealed)


def bring(filesystem: Any, base: str, root: Path, sizes: Mapping[str, int]) -> None:
    """Copies the files of these names and sizes to `root` that are not there already."""
    missing = [name for name, size in sizes.items() if _size(root / name) != size]
    if not missing:
        return
    with workspace(root) as scratch:
        for name in missing:
            path = root / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            filesystem.get_file(f"{base}/{name}", str(beside := scratch / path.name))
            beside.rename(path)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def cache_of(address: str) -> Path:
    """Where the copy of a ledger that was shipped elsewhere is kept, for questions."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "spanledger" / sha256(address.encode()).hexdigest()[:16]


def place_of(address: str, options: dict[str, Any] | None = None) -> tuple[Any, str]:
    """The file system of an address and the path in it. Raises `LedgerError`, `MissingExtraError`."""
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(error.name or "fsspec", "ship") from error
    try:
        filesystem, base = fsspec.core.url_to_fs(address, **(options or {}))
    except (ImportError, ValueError) as error:
        msg = f"{address}: {error}"
        raise LedgerError(msg) from error
    return filesystem, base.rstrip("/")


def sizes_at(filesystem: Any, base: str) -> dict[str, int]:
    """The files there, `charges/date=DAY/NAME` and `open/NAME`, and their bytes. Never a cached answer."""
    filesystem.invalidate_cache()
    return {
        "/".join(path.split("/")[-depth:]): int(entry["size"])
        for folder, suffix, depth in ((SEALED, ".parquet", 3), (OPEN, ".jsonl", 2))
        for path, entry in _found(filesystem, f"{base}/{folder}").items()
        if path.endswith(suffix) and not path.rsplit("/", 1)[-1].startswith(".")
    }


def _found(filesystem: Any, folder: str) -> dict[str, Any]:
    found: dict[str, Any] = filesystem.find(folder, detail=True) if filesystem.exists(folder) else {}
    return found


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _replaced(root: Path, path: Path, names: tuple[str, ...]) -> Iterator[str]:
    return (_name(root, path.with_name(name)) for name in names)


def copy_new(filesystem: Any, path: Path, base: str, name: str) -> None:
    """Copies a file that is not there yet."""
    if path.exists() and not filesystem.exists(f"{base}/{name}"):
        copy(filesystem, path, base, name)


def copy(filesystem: Any, path: Path, base: str, name: str) -> None:
    """Copies a file to `base`, such that under its name it is there whole or not at all."""
    target = f"{base}/{name}"
    try:
        filesystem.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        if filesystem.protocol in ("file", ("file", "local")):
            _copy_beside(filesystem, path, Path(base), Path(target))
        else:  # an object store shows an object when it is whole, and only then
            filesystem.put_file(str(path), target)
    except OSError as error:
        msg = f"ship: {path} could not be copied to {target}: {error}"
        raise LedgerError(msg) from error


def _copy_beside(filesystem: Any, path: Path, root: Path, target: Path) -> None:
    """What a kill leaves of a copy lies in the workspace of the ledger there: the next shipment erases it."""
    with workspace(root) as scratch:
        filesystem.put_file(str(path), str(beside := scratch / path.name))
        sync(beside)
        beside.rename(target)
        sync(target.parent)
