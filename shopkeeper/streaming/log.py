"""Keeps events on disk before they are acknowledged.

A folder of append-only segments. A line is one batch: eight hex digits of CRC32, a blank, the
rows as a JSON list without their empty columns. So a batch is on disk whole or not at all.
Appenders that come at the same time share one fsync (group commit, as databases do).
Knows no shop and no lake: the engine replays segments, seals them, and drops what it compacted.
"""

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

import numpy as np

from shopkeeper import schema
from shopkeeper.errors import BadConfig, ShopkeeperError
from shopkeeper.streaming._locks import FolderLock, sync_folder

Row = dict[str, Any]

RECENT_IDS_MAX = 200_000
_RECENT = "recent.ids"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Appended:
    """What `append` wrote."""

    rows: list[Row]
    """The rows that were new; feed these to the online state."""
    events: int
    """How many events they are."""
    duplicates: int
    """Events whose id was known; they changed nothing."""


class EventLog:
    """The one writer of a shop's event log; threads may share it.

    Opening cuts a torn last line off and learns the ids that the log holds; `problems` says what
    else was found broken, one sentence each with file and line.

    Args:
        folder: Where segments lie; made if it lacks.
        segment_mb: Size at which a new segment begins.
        fsync: Wait for the disk before `append` returns. Off only for trials.
        recent_ids_max: Ids of dropped segments that are still recognised.

    Raises:
        BadConfig: A size is not positive, or (ShopkeeperError) another process writes here.
    """

    def __init__(
        self,
        folder: Path,
        segment_mb: float = 64,
        fsync: bool = True,
        recent_ids_max: int = RECENT_IDS_MAX,
    ) -> None:
        if segment_mb <= 0 or recent_ids_max < 0:
            raise BadConfig("segment_mb must be above 0 and recent_ids_max at least 0.")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.problems: list[str] = []
        self._lock = FolderLock(folder / "lock")
        self._segment_bytes, self._fsync = int(segment_mb * 1e6), fsync
        self._recent_ids_max = recent_ids_max
        self._mutex, self._writing = threading.Lock(), threading.Lock()
        self._pending: list[tuple[bytes, set[int]]] = []
        self._tickets = self._settled = 0
        self._failed: dict[int, OSError] = {}
        self._broken = False
        self._known: dict[int, int] = {}
        self._in_flight: dict[int, int] = {}
        self._recover()

    def append(self, rows: Iterable[Row]) -> Appended:
        """Write the events that are new; on return they survive a power cut.

        Where the disk refuses, an OSError says so and none of `rows` was taken.

        Args:
            rows: Rows of `streaming.events.normalise`; rows of one event share an `event_id`.

        Returns:
            What was new.
        """
        with self._mutex:
            self._check_open()
            fresh, ids, known = self._sift(rows)
            # A known event too must be waited for: its first copy may not be on disk yet.
            tickets = {self._in_flight[digest] for digest in known if digest in self._in_flight}
            if fresh:
                self._tickets += 1
                tickets.add(self._tickets)
                self._pending.append((_line(fresh), ids))
                self._known.update(dict.fromkeys(ids, self._segment))
                self._in_flight.update(dict.fromkeys(ids, self._tickets))
        for ticket in sorted(tickets):
            self._commit(ticket)
        return Appended(fresh, len(ids), len(known))

    def replay(self, after: int = 0, until: int | None = None) -> Iterator[Row]:
        """Yield the rows of the segments numbered above `after`, up to `until`, oldest first."""
        yield from read(self.folder, after, until)

    def segments(self) -> list[int]:
        """Return the numbers of all segments; the last one is being written."""
        return sorted(_segments(self.folder))

    def seal(self) -> list[int]:
        """Begin a new segment, and return the numbers of all that will not change any more."""
        with self._writing, self._mutex:
            self._check_open()
            if self._size:
                self._begin(self._segment + 1)
            return [number for number in self.segments() if number < self._segment]

    def drop(self, segments: Iterable[int]) -> None:
        """Delete sealed segments; their newest ids stay recognised, also after a restart.

        Args:
            segments: Numbers that `seal` returned.

        Raises:
            BadConfig: A segment is being written.
        """
        with self._mutex:
            gone = set(segments)
            if any(number >= self._segment for number in gone):
                raise BadConfig("Only sealed segments can be dropped. Call seal() first.")
            alive = set(self.segments()) - gone
            old = [digest for digest, number in self._known.items() if number not in alive]
            for digest in old[: max(0, len(old) - self._recent_ids_max)]:
                del self._known[digest]
            kept = old[max(0, len(old) - self._recent_ids_max) :]
            _write_ids(self.folder / _RECENT, kept)
            for number in gone:
                path(self.folder, number).unlink(missing_ok=True)
            sync_folder(self.folder)

    def close(self) -> None:
        """Write what waits and give the log free. May be called twice."""
        with self._mutex:
            ticket = self._tickets
        if not self._broken and not self._file.closed:
            self._commit(ticket)
        with self._writing, self._mutex:
            self._file.close()
            self._lock.release()

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._broken:
            raise ShopkeeperError(
                f"The event log {self.folder} could not be written or mended. "
                "Look at the disk, then start again."
            )
        if self._file.closed:
            raise ShopkeeperError(f"The event log {self.folder} is closed.")

    def _sift(self, rows: Iterable[Row]) -> tuple[list[Row], set[int], set[int]]:
        """Part the new events from the known: new rows, their ids, the known ids."""
        digests: dict[str, int] = {}
        fresh: list[Row] = []
        for row in rows:
            event_id = row[schema.EVENT_ID]
            digest = digests.setdefault(event_id, _digest(event_id))
            if digest not in self._known:
                fresh.append(row)
        new = {digests[row[schema.EVENT_ID]] for row in fresh}
        return fresh, new, set(digests.values()) - new

    def _commit(self, ticket: int) -> None:
        """Return when `ticket` is on disk; whoever comes first writes for all that wait."""
        with self._writing:
            if ticket > self._settled:
                with self._mutex:
                    batch, self._pending = self._pending, []
                    first, last = self._settled + 1, self._tickets
                failure = self._write(b"".join(line for line, _ in batch))
                with self._mutex:
                    for digest in set().union(*(ids for _, ids in batch)):
                        del self._in_flight[digest]
                        if failure:
                            self._known.pop(digest, None)
                if failure:
                    self._failed.update(dict.fromkeys(range(first, last + 1), failure))
                self._settled = last
            if ticket in self._failed:
                raise OSError("The event log could not be written.") from self._failed[ticket]

    def _write(self, lines: bytes) -> OSError | None:
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[self._file.write(rest) :]
            if self._fsync:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._undo()
            return error
        self._size += len(lines)
        if self._size >= self._segment_bytes:
            with self._mutex:
                self._begin(self._segment + 1)
        return None

    def _undo(self) -> None:
        """Cut a half-done write off, so that nothing unacknowledged comes back."""
        try:
            os.ftruncate(self._file.fileno(), self._size)
            os.fsync(self._file.fileno())
        except OSError:
            self._broken = True

    def _begin(self, number: int) -> None:
        if number > 1 and hasattr(self, "_file"):
            self._file.close()
        self._segment = number
        self._file: BinaryIO = path(self.folder, number).open("ab", buffering=0)
        self._size = path(self.folder, number).stat().st_size
        sync_folder(self.folder)

    def _recover(self) -> None:
        for digest in _read_ids(self.folder / _RECENT):
            self._known[digest] = 0
        numbers = self.segments() or [1]
        for number in numbers:
            file = path(self.folder, number)
            if not file.exists():
                continue
            if number == numbers[-1]:
                _cut_torn(file)
            self._learn(file, number)
        self._begin(numbers[-1])

    def _learn(self, file: Path, number: int) -> None:
        """Remember the ids of a segment; put broken lines into a side file and say so."""
        broken: list[bytes] = []
        with file.open("rb") as lines:
            for place, line in enumerate(lines, 1):
                rows = _parse(line)
                if rows is None:
                    broken.append(line)
                    self.problems.append(f"{file.name} line {place} is corrupt; it was skipped.")
                for row in rows or []:
                    self._known[_digest(row[schema.EVENT_ID])] = number
        if broken:
            file.with_suffix(".broken").write_bytes(b"".join(broken))


def path(folder: Path, number: int) -> Path:
    """Return the file of a segment."""
    return folder / f"segment-{number:08d}.jsonl"


def read(folder: Path, after: int = 0, until: int | None = None) -> Iterator[Row]:
    """Yield the rows of a log without opening it for writing, so also while a server runs.

    Args:
        folder: The log; one that lacks has no rows.
        after: Only segments with a higher number.
        until: No segment with a higher number.

    Yields:
        Rows with every column of `schema.EVENTS`. Broken lines are skipped.
    """
    for number, file in sorted(_segments(folder).items()):
        if number > after and (until is None or number <= until):
            with file.open("rb") as lines:
                for line in lines:
                    yield from map(_full, _parse(line) or [])


def _segments(folder: Path) -> dict[int, Path]:
    return {
        int(file.stem.removeprefix("segment-")): file for file in folder.glob("segment-*.jsonl")
    }


def _digest(event_id: str) -> int:
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "little")


def _line(rows: Iterable[Mapping[str, Any]]) -> bytes:
    slim = [
        {
            key: (value - _EPOCH) // timedelta(microseconds=1) if key == schema.TIME else value
            for key, value in row.items()
            if value is not None
        }
        for row in rows
    ]
    body = json.dumps(slim, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (crc32(body), body)


def _parse(line: bytes) -> list[Row] | None:
    """Return the rows of a line, None if it is not what was written."""
    if len(line) < 10 or not line.endswith(b"\n"):
        return None
    body = line[9:-1]
    if line[:9] != b"%08x " % crc32(body):
        return None
    rows: list[Row] = json.loads(body)
    return rows


def _full(row: Row) -> Row:
    time = _EPOCH + timedelta(microseconds=row[schema.TIME])
    return {**dict.fromkeys(schema.EVENTS), **row, schema.TIME: time}


def _cut_torn(file: Path) -> None:
    """Cut what stands after the last line end: it was never acknowledged."""
    with file.open("r+b") as lines:
        size = lines.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(0, end - 65536)
            lines.seek(start)
            found = lines.read(end - start).rfind(b"\n")
            end = start + found + 1 if found >= 0 else start
            if found >= 0:
                break
        if end < size:
            lines.truncate(end)
            os.fsync(lines.fileno())


def _write_ids(file: Path, ids: list[int]) -> None:
    draft = file.with_suffix(".draft")
    with draft.open("wb") as out:
        out.write(np.array(ids, dtype="<u8").tobytes())
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def _read_ids(file: Path) -> list[int]:
    if not file.exists():
        return []
    content = file.read_bytes()
    ids: list[int] = np.frombuffer(content[: len(content) // 8 * 8], dtype="<u8").tolist()
    return ids
