"""Appends charges to a ledger directory: one `write(2)` a charge, to a segment that only this process has open.

No process waits for another and nothing is buffered: when `book` returns, the kernel has the row, and it outlives the
process; with `durability="fsync"` the disk has it. Rows end with a newline, so a torn last line shows itself.
"""

from __future__ import annotations

import atexit
import errno
import hmac
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from spanledger import _faults
from spanledger._settings import MIN_FREE_MB
from spanledger._spawning import spawn_sealing
from spanledger._types import Charge, Row
from spanledger.errors import ConfigurationError
from spanledger.sinks._segment import Segment, prepare

RETRY_SECONDS: Final = 5.0
"""How long a place that could not be opened is left alone; charges in between are counted as lost."""

RETRY_TIMES: Final = 10
"""Nor is it tried again before this many times as long as the try took: it kept a call of the application waiting."""

AWAY: Final = (errno.EIO, errno.ETIMEDOUT)
"""What a file system says whose server does not answer: what it has of a segment is to be asked later."""

ROTATE_BYTES: Final = 64 << 20
ROTATE_SECONDS: Final = 3600.0
"""A segment is closed and a new one begun at this size or age, so that it can be sealed."""

LOOK_SECONDS: Final = 1.0
"""How often the place is looked at: what is noticed within this time is a full disk, a segment that was deleted, and
rows that a network file system took and then refused."""

PSEUDONYMS: Final = ("customer", "user_id")
"""The columns that a key replaces by their keyed hash."""

_sinks: Final[weakref.WeakSet[LedgerSink]] = weakref.WeakSet()


class LedgerSink:
    """Appends to `path`, a directory that is made at the first charge.

    `durability` is `process` (a charge outlives its process) or `fsync` (it outlives the power). With `hmac_key`,
    `customer` and `user_id` are written as their HMAC-SHA256, 32 hexadecimal digits. `sealing="spawn"` starts
    `spanledger seal` as a process of low priority whenever a segment is full. `send` is given the ledger at each flush,
    its segments closed, to move them elsewhere. `min_free_mb` is how much of the disk is left free, in MiB, 32 by
    default. Raises `ConfigurationError`.
    """

    def __init__(  # noqa: PLR0913 -- settings, by name
        self,
        path: str | os.PathLike[str],
        *,
        durability: str = "process",
        hmac_key: str | None = None,
        sealing: str = "off",
        min_free_mb: int = MIN_FREE_MB,
        send: Callable[[Path], object] | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self._fsync = _choice("durability", durability, ("process", "fsync")) == "fsync"
        self._key = hmac_key.encode() if hmac_key else None
        self._spawns = _choice("sealing", sealing, ("off", "spawn")) == "spawn"
        self._reserve = min_free_mb << 20
        self._send = send
        self._begin()

    def _begin(self) -> None:
        self._segment: Segment | None = None
        self._latest = ""
        self._doubted: list[tuple[Segment, OSError]] = []
        self._failure: OSError | None = None
        self._retry_at = 0.0
        self._told = sum(_faults.totals().values())
        self._opening = threading.Lock()
        _sinks.add(self)

    @property
    def segment(self) -> Path | None:
        """The file that is written to at present."""
        return self._segment.path if self._segment else None

    def book(self, charge: Charge) -> None:
        """Writes one row; a row that cannot be written is counted as lost."""
        line = encoded(pseudonymous(charge.row, self._key) if self._key else charge.row)
        segment, now = self._segment, time.monotonic()
        try:
            if segment is None or now > segment.look_at:
                segment = self._fit(segment)
        except OSError as error:
            _faults.lose(error)
        else:
            self._put(segment, line, now)

    def flush(self) -> None:
        """Writes nothing, as nothing is held back; tells the ledger of faults and losses since the last time.

        Where segments are sent away, that is now. What cannot be sent stays for the next time.
        """
        with self._opening:
            self._ask()
        if self._send and self.path.exists():
            self.close()
            self._send(self.path)

    def close(self) -> None:
        """Lets go of the segment, once its place has said whether it has all of it; the next charge opens a new one."""
        with self._opening:
            self._ask()
            self._account()
            for doubted, error in self._doubted:
                _lose(doubted.in_doubt - doubted.missed, error)
            self._doubted.clear()
            self._tell()
            self._segment = None

    def forget(self) -> None:
        """In a forked child: the parent's segments are the parent's."""
        for segment in (self._segment, *(segment for segment, _ in self._doubted)):
            if segment:
                segment.close()
        self._begin()

    def _fit(self, segment: Segment | None) -> Segment:
        """The segment to write to: this one, while it is fit for it, or a new one.

        While a failing place is tried again, which may take as long as a server is waited for, nobody else waits.
        """
        failure = self._failure
        if not self._opening.acquire(blocking=failure is None) and failure is not None:
            raise failure.with_traceback(None)
        try:
            current = self._segment
            if current is not segment and current is not None:
                return current
            if current is not None and self._may_stay(current):
                return current
            self._segment = None
            self._segment = self._try(time.monotonic())
            return self._segment
        finally:
            self._opening.release()

    def _put(self, segment: Segment, line: bytes, now: float) -> None:
        segment.rows += 1
        try:
            self._append(segment, line)
        except OSError as error:
            self._refused(segment, line, error, now)

    def _append(self, segment: Segment, line: bytes) -> None:
        written = os.write(segment.fd, line)
        if written != len(line):
            self._abandon_torn(segment)
        if self._fsync:
            os.fdatasync(segment.fd)
        if segment.refusal is not None:  # another thread was told so while this one wrote
            raise segment.refusal.with_traceback(None)

    def _refused(self, segment: Segment, line: bytes, error: OSError, since: float) -> None:
        """What a server refuses may be this row or earlier ones, so it is asked what it has of them."""
        if segment.is_remote and error.errno != errno.EBADF:
            with self._opening:
                self._give_up(segment, self._failed(error, since))
            return
        segment.rows -= 1
        if error.errno == errno.EBADF:
            self._anew(segment, line)
        else:
            _faults.lose(error)

    def _anew(self, segment: Segment, line: bytes) -> None:
        """Writes a row to a new segment where the descriptor of the old one was closed; else it is lost."""
        try:
            self._append(fresh := self._fit(segment), line)
            fresh.rows += 1
        except OSError as error:
            _faults.lose(error)

    def _may_stay(self, segment: Segment) -> bool:
        """Looks at the place of a segment. Raises `OSError` where charges must not go there."""
        now = time.monotonic()
        segment.look_at = now + LOOK_SECONDS
        self._tell()
        if not self._has_its_rows(segment):
            return False
        if segment.free < self._reserve:
            segment.look_at = now
            raise OSError(errno.ENOSPC, f"less than {self._reserve >> 20} MiB are free", str(self.path))
        full = segment.size > ROTATE_BYTES or now - segment.opened_at > ROTATE_SECONDS
        if full and self._spawns:
            spawn_sealing(self.path)
        return not full

    def _has_its_rows(self, segment: Segment) -> bool:
        """Counts the rows that a segment lost with its file. Raises `OSError` where its place refuses what it took."""
        since = time.monotonic()
        try:
            lost = segment.lost
            if lost is None:
                segment.settle()
                return True
        except OSError as error:
            self._give_up(segment, error)
            raise self._failed(error, since) from None
        _lose(lost, FileNotFoundError(errno.ENOENT, "the segment was deleted or closed", str(segment.path)))
        return False

    def _ask(self) -> None:
        """Asks a place that may refuse what it took, between the looks, and tells what it says."""
        segment = self._segment
        with suppress(OSError):
            if segment and segment.is_remote and not self._has_its_rows(segment):
                self._segment = None
        self._tell()

    def _give_up(self, segment: Segment, error: OSError) -> None:
        """No more rows for a segment; what it has not got is counted now, or when its place can be asked for it."""
        segment.refusal = error
        self._doubted.append((segment, error))
        if self._segment is segment:
            self._segment = None
        if error.errno not in AWAY:
            self._account()

    def _account(self) -> None:
        """Counts what the places of given up segments have not got; a place that cannot be read is asked next time."""
        doubted, self._doubted = self._doubted, []
        self._doubted += [one for one in doubted if not _is_accounted(*one)]

    def _try(self, now: float) -> Segment:
        if self._failure is not None and now < self._retry_at:
            raise self._failure.with_traceback(None)
        try:
            prepare(self.path)
            segment = Segment(self.path)
        except OSError as error:
            raise self._failed(error, now) from None
        self._failure = None
        self._latest = segment.path.stem
        self._account()
        return segment

    def _failed(self, error: OSError, since: float) -> OSError:
        """Leaves the place alone for a while."""
        now = time.monotonic()
        self._failure = error
        self._retry_at = now + max(RETRY_SECONDS, RETRY_TIMES * (now - since))
        return error

    def _abandon_torn(self, segment: Segment) -> None:
        """A full disk took part of a row: the segment ends here, so that the next row does not run into it."""
        self._segment = None
        raise OSError(errno.ENOSPC, "only a part of a row was taken", str(segment.path))

    def _tell(self) -> None:
        """Writes this process's counters into the ledger, where there is news, for `doctor` in another process.

        They go by the latest segment's name, which the process may have given up since.
        """
        news = sum(_faults.totals().values())
        if news == self._told or not self._latest:
            return
        with suppress(OSError):
            write_report(self.path, self._latest)
            self._told = news


def _lose(rows: int, error: OSError) -> None:
    for _ in range(rows):
        _faults.lose(error)


def _is_accounted(segment: Segment, error: OSError) -> bool:
    try:
        missing = segment.newly_missing()
    except OSError:
        return False
    _lose(missing, error)
    segment.remove_if_empty()
    return True


def _choice(name: str, given: str, choices: Sequence[str]) -> str:
    if given in choices:
        return given
    msg = f"{name} takes {' or '.join(choices)}, not {given!r}"
    raise ConfigurationError(msg)


def encoded(row: Row) -> bytes:
    """The line of a row. Text that is no Unicode, which no JSON can hold, has its bad characters replaced."""
    try:
        return orjson.dumps(row) + b"\n"
    except TypeError:
        return (
            json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace") + b"\n"
        )


def pseudonymous(row: Row, key: bytes) -> Row:
    """The row with its `PSEUDONYMS` as keyed hashes: equal people stay equal, and none can be named without the key."""
    return {**row, **{name: pseudonym(row[name], key) for name in PSEUDONYMS if row.get(name)}}


def pseudonym(value: str, key: bytes) -> str:
    """The HMAC-SHA256 of a value, the first 32 hexadecimal digits."""
    return hmac.digest(key, value.encode("utf-8", "replace"), "sha256").hex()[:32]


def write_report(ledger: Path, name: str) -> None:
    """Writes the fault counters of this process beside and renames, so that no reader sees half of them."""
    folder = ledger / "health"
    folder.mkdir(mode=0o700, exist_ok=True)
    beside = folder / f".{name}"
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(orjson.dumps({"pid": os.getpid(), **_faults.snapshot()}))
    beside.replace(folder / f"{name}.json")


def _after_fork() -> None:
    for sink in list(_sinks):
        sink.forget()


def _at_exit() -> None:
    """A place that takes rows and refuses them later is asked before nobody is left who could say it."""
    for sink in list(_sinks):
        sink.close()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
