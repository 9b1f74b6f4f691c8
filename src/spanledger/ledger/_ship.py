"""Shipping: sealed files to any place that fsspec reaches (`s3://`, `gs://`, `abfs://`, a path), many hosts into one.

Sealed files never change and their names are unique in the world, so a file that is there with the same size is done:
an interrupted shipment goes on where it stopped, and shipping again ships nothing. A merged file is copied before the
files that it replaces are removed at the destination, and readers know which those are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from spanledger._ids import uuid7
from spanledger.errors import LedgerError, MissingExtraError
from spanledger.ledger._files import SEALED, scan
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
    filesystem, base = _place(destination, options)
    database = DuckDB()
    sealed = [file.path for file in scan(root).sealed]
    facts = database.facts(sealed)
    sizes = _sizes(filesystem, f"{base}/{SEALED}")
    _copy_new(filesystem, root / "meta.json", f"{base}/meta.json")
    files = sent = 0
    for path in sealed:
        name = _name(root, path)
        if sizes.get(name) != path.stat().st_size:
            _copy(filesystem, path, f"{base}/{SEALED}/{name}")
            files, sent = files + 1, sent + path.stat().st_size
    gone = [name for path in sealed for name in _replaced(root, path, facts[path].replaces) if name in sizes]
    for name in gone:
        filesystem.rm_file(f"{base}/{SEALED}/{name}")
    return Shipped(files, sent, len(sealed) - files, len(gone))


def fetch(source: str, root: Path, options: dict[str, Any] | None = None) -> Path:
    """The other way: brings what was shipped to `source` up to date in the directory `root`, and returns that.

    Files that are no longer at the source were merged there, and go here too.
    """
    filesystem, base = _place(source, options)
    sizes = _sizes(filesystem, f"{base}/{SEALED}")
    if not sizes:
        msg = f"{source}: there is no shipped ledger here; `spanledger ship LEDGER {source}` puts one"
        raise LedgerError(msg)
    for name, size in sizes.items():
        path = root / SEALED / name
        if not path.exists() or path.stat().st_size != size:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside = path.with_name(f".{path.name}.tmp")
            filesystem.get_file(f"{base}/{SEALED}/{name}", str(beside))
            beside.rename(path)
    for file in scan(root).sealed:
        if _name(root, file.path) not in sizes:
            file.path.unlink()
    return root


def _place(address: str, options: dict[str, Any] | None) -> tuple[Any, str]:
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


def _sizes(filesystem: Any, folder: str) -> dict[str, int]:
    """The sealed files that are there, `date=DAY/NAME`, and their bytes. Never a cached answer."""
    filesystem.invalidate_cache()
    found = filesystem.find(folder, detail=True) if filesystem.exists(folder) else {}
    return {
        "/".join(path.rsplit("/", 2)[-2:]): int(entry["size"])
        for path, entry in found.items()
        if path.endswith(".parquet") and not path.rsplit("/", 1)[-1].startswith(".")
    }


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root / SEALED).as_posix()


def _replaced(root: Path, path: Path, names: tuple[str, ...]) -> Iterator[str]:
    return (_name(root, path.with_name(name)) for name in names)


def _copy_new(filesystem: Any, path: Path, target: str) -> None:
    if path.exists() and not filesystem.exists(target):
        _copy(filesystem, path, target)


def _copy(filesystem: Any, path: Path, target: str) -> None:
    """Copies under a hidden name and renames; an object store shows an object when it is whole, and only then."""
    beside = f"{target.rsplit('/', 1)[0]}/.{uuid7()}.tmp"
    try:
        filesystem.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        if filesystem.protocol in ("file", ("file", "local")):
            filesystem.put_file(str(path), beside)
            filesystem.mv(beside, target)
        else:
            filesystem.put_file(str(path), target)
    except OSError as error:
        msg = f"ship: {path} could not be copied to {target}: {error}"
        raise LedgerError(msg) from error
