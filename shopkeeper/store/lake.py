"""The lake: Parquet files, events by day, and one manifest that says which files count.

A write adds files nobody reads yet, makes them durable, and then replaces the manifest in one
step, so a load is there as a whole or not at all, whatever is killed. Files that no manifest
names are leftovers and go at the next write. Knows nothing of where rows come from.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from shopkeeper import schema
from shopkeeper.errors import BadData
from shopkeeper.store._days import (
    DAY_FILES_MAX,
    as_one,
    crowded,
    without_loads,
    write_days,
)
from shopkeeper.store._durable import locked, sync
from shopkeeper.store._files import described, sound, verify
from shopkeeper.store._rows import (
    GROWING,
    also,
    conform,
    fresh_rows,
    shape_of,
    staying,
)

if TYPE_CHECKING:
    import ibis
    import pyarrow as pa

BATCH_ROWS = 100_000
"""Rows that the query engine hands over at once."""

CHUNK_ROWS = 3_000_000
"""Events that are in memory at once, some 200 bytes each, to be written by day."""


class Lake:
    """Tables of one shop in a folder.

    Args:
        folder: Where the files lie; made if it is not there.
        memory_mb: What the query engine may use before it spills to disk.
        threads: How many cores it may use.
    """

    def __init__(self, folder: Path, *, memory_mb: int = 1500, threads: int = 2) -> None:
        self.folder = Path(folder)
        self.memory_mb, self.threads = memory_mb, threads
        self._backend: Any = None
        self._seen: dict[str, tuple[int, ibis.Table]] = {}

    @property
    def backend(self) -> Any:
        """The Ibis connection that reads and writes this lake."""
        if self._backend is None:
            import ibis

            self.folder.mkdir(parents=True, exist_ok=True)
            self._backend = ibis.duckdb.connect(
                memory_limit=f"{self.memory_mb}MB",
                threads=self.threads,
                temp_directory=str(self.folder / ".spill"),
            )
            # Times are written as text in the zone of the connection.
            self._backend.raw_sql("SET TimeZone = 'UTC'")
        return self._backend

    def table(self, name: str) -> "ibis.Table":
        """Return table `name` as an expression; without rows if never written.

        A file that is missing, half-written or broken is BadData.
        """
        import ibis

        shape = shape_of(name)
        manifest = self._manifest()
        entries = manifest["tables"].get(name, [])
        if not entries:
            return ibis.memtable(schema.empty(shape))
        if name not in self._seen or self._seen[name][0] != manifest["version"]:
            rows = self.backend.read_parquet(sound(self.folder, entries), union_by_name=True)
            self._seen[name] = (manifest["version"], conform(rows, shape))
        return self._seen[name][1]

    def newest_events(self, columns: Sequence[str], rows_max: int) -> pl.DataFrame:
        """Read the newest days of the events that together hold `rows_max` rows, or all.

        Without the query engine, for a shop that has to answer in seconds.

        Args:
            columns: Names of `schema.EVENTS`.
            rows_max: Days are read, the newest first, until so many rows are there.

        Returns:
            Whole days, oldest first; one that lacks a column has nulls in it.

        Raises:
            BadData: A file is missing, half-written or broken.
        """
        entries = self._manifest()["tables"].get("events", [])
        # A file lies in a folder named by its day.
        entries = sorted(entries, key=lambda entry: Path(entry["file"]).parent.name)
        first = len(entries)
        rows = 0
        while first and rows < rows_max:
            first -= 1
            rows += entries[first]["rows"]
        chosen = entries[first:]
        for entry in chosen:
            verify(self.folder, entry)
        if not chosen:
            return pl.DataFrame(schema={name: schema.EVENTS[name] for name in columns})
        files = [self.folder / entry["file"] for entry in chosen]
        shape = {name: schema.EVENTS[name] for name in columns}
        try:
            return pl.scan_parquet(
                files, schema=shape, missing_columns="insert", extra_columns="ignore"
            ).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise BadData(
                f"An event file in {self.folder / 'events'} cannot be read: {error}. Restore it "
                "from a backup, or delete the lake and ingest again."
            ) from error

    def batches(self, rows: "ibis.Table", rows_max: int) -> "pa.RecordBatchReader":
        """Work out an expression of this lake batch by batch, each of `rows_max` rows at most."""
        # Not by Ibis 12, which asks DuckDB 2 for what it renamed.
        self.backend._run_pre_execute_hooks(rows)
        return self.backend.con.sql(self.backend.compile(rows)).to_arrow_reader(rows_max)

    def files(self, name: str) -> list[Path]:
        """Return the Parquet files that hold a table, each as long as it was written."""
        return sound(self.folder, self._manifest()["tables"].get(name, []))

    def counts(self) -> dict[str, int]:
        """Return how many rows each table has."""
        tables = self._manifest()["tables"]
        return {name: sum(e["rows"] for e in tables.get(name, [])) for name in schema.TABLES}

    def loads(self) -> dict[str, dict[str, Any]]:
        """Return what is known of each load by its id: inputs, code, counts; oldest first."""
        loads: dict[str, dict[str, Any]] = self._manifest()["loads"]
        return loads

    def publish(
        self,
        load_id: str,
        tables: Mapping[str, "ibis.Table | pl.DataFrame"],
        lineage: Mapping[str, Any],
        *,
        replaces: Sequence[str] = (),
        drop: "Mapping[str, Callable[[ibis.Table], ibis.BooleanValue]] | None" = None,
    ) -> dict[str, int]:
        """Add the rows of a load to all its tables in one step; one process at a time.

        Args:
            load_id: A short name of the load, unique by its content.
            tables: Rows by table name. A column that lacks becomes null in a new row, and stays
                as it was in a row that is known.
            lineage: JSON-able facts of the load, kept in the manifest.
            replaces: Earlier loads whose rows go, for this load brings them anew; a row that
                another load brought or changed as well stays.
            drop: Which rows of a table go before those of the load come; not for events.

        Returns:
            How many rows each table gained (growing tables) or now holds (the others).
        """
        with self._writing() as manifest:
            fresh: list[Path] = []
            if replaces:
                events = manifest["tables"].get("events", [])
                left, fresh = without_loads(self.folder, events, replaces, manifest["version"])
                manifest["tables"]["events"] = left + described(self.folder, fresh)
            written: dict[str, list[Path]] = {}
            for name in [*tables, *also(manifest["tables"], tables, replaces)]:
                known = self._known(name, manifest)
                stay = staying(known, (drop or {}).get(name), replaces)
                rows = tables.get(name, schema.empty(shape_of(name)))
                written[name] = self._write(name, rows, (known, stay), load_id, manifest)
            entries = {name: described(self.folder, paths) for name, paths in written.items()}
            for name, added in entries.items():
                kept = manifest["tables"].get(name, []) if name in GROWING else []
                manifest["tables"][name] = kept + added
            for gone in replaces:
                manifest["loads"].pop(gone, None)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            manifest["loads"][load_id] = {
                "published": now, "version": manifest["version"], **lineage,
            }  # fmt: skip
            fresh += [path for paths in written.values() for path in paths]
            self._commit(manifest, fresh)
        return {name: sum(e["rows"] for e in entries[name]) for name in tables}

    def replace(self, name: str, rows: pl.DataFrame) -> None:
        """Put `rows` in the place of all rows of a table, in one step."""
        with self._writing() as manifest:
            written = self._write(name, rows, (None, None), "all", manifest)
            manifest["tables"][name] = described(self.folder, written)
            self._commit(manifest, written)

    def compact(self, files_max: int = DAY_FILES_MAX) -> int:
        """Write each day of events that lies in more than `files_max` files as one; say how many.

        Increments leave a small file for every day they touch. One day is in memory at a time.
        """
        if not crowded(self._manifest()["tables"].get("events", []), files_max):
            return 0
        with self._writing() as manifest:
            entries = manifest["tables"]["events"]
            days = crowded(entries, files_max)
            fresh = [
                as_one(self.folder, day, held, manifest["version"]) for day, held in days.items()
            ]
            gone = {entry["file"] for held in days.values() for entry in held}
            stay = [entry for entry in entries if entry["file"] not in gone]
            manifest["tables"]["events"] = stay + described(self.folder, fresh)
            self._commit(manifest, fresh)
        return len(days)

    @contextmanager
    def working(self) -> Iterator[Path]:
        """Hand out an empty folder for what a load works out, gone afterwards; one load at a time.

        Raises ShopkeeperError where another process loads.
        """
        folder = self.folder / ".work"
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / ".work.lock", f"loading into {self.folder}"):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def append_events(self, rows: pl.DataFrame) -> int:
        """Add events of the live log and return how many were new; known ids change nothing."""
        if rows.is_empty():
            return 0
        rows = schema.conform(rows, schema.EVENTS).unique(schema.EVENT_ID, keep="first")
        ids = "\n".join(rows[schema.EVENT_ID].sort().fill_null("").to_list())
        load_id = f"live-{hashlib.sha256(ids.encode()).hexdigest()[:16]}"
        if load_id in self.loads():
            return 0
        lineage = {"source": "live log", "rows": rows.height}
        return self.publish(load_id, {"events": rows}, lineage)["events"]

    def forget(self, user_id: str) -> int:
        """Delete every row of a shopper in every table, and return how many rows went."""
        gone, fresh, old = 0, [], []
        with self._writing() as manifest:
            for name, entries in manifest["tables"].items():
                if schema.USER not in shape_of(name):
                    continue
                held = self._files_of(user_id, entries)
                for entry in [e for e in entries if e["file"] in held]:
                    path = self.folder / entry["file"]
                    rows = pl.read_parquet(path)
                    stay = rows.filter(pl.col(schema.USER).ne_missing(user_id))
                    gone += rows.height - stay.height
                    old.append(path)
                    entries.remove(entry)
                    if stay.height:
                        new = path.with_name(
                            f"{path.stem.split('~')[0]}~{manifest['version']}.parquet"
                        )
                        stay.write_parquet(new)
                        fresh.append(new)
                        entries.extend(described(self.folder, [new]))
            if old:
                self._commit(manifest, fresh)
            for path in old:
                path.unlink(missing_ok=True)
        return gone

    def _known(self, name: str, manifest: dict[str, Any]) -> "ibis.Table | None":
        """Return the rows of a table as the manifest at hand names them; None for none."""
        entries = manifest["tables"].get(name, [])
        if not entries:
            return None
        rows = self.backend.read_parquet(sound(self.folder, entries), union_by_name=True)
        return conform(rows, shape_of(name))

    def _files_of(self, user_id: str, entries: list[dict[str, Any]]) -> set[str]:
        """Return the names of the files that hold rows of the shopper."""
        if not entries:
            return set()
        found = (
            self.backend.read_parquet(
                sound(self.folder, entries), union_by_name=True, filename="_file"
            )
            .filter(lambda rows: rows[schema.USER] == user_id)
            .select("_file")
            .distinct()
            .to_polars()
        )
        return {str(Path(name).relative_to(self.folder)) for name in found["_file"]}

    def _manifest(self) -> dict[str, Any]:
        path = self.folder / "manifest.json"
        if not path.exists():
            return {"version": 0, "tables": {}, "loads": {}}
        try:
            manifest: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            raise BadData(
                f"The list of files {path} cannot be read ({error}). Restore it from a backup, "
                f"or delete the folder {self.folder} and ingest again."
            ) from error
        return manifest

    @contextmanager
    def _writing(self) -> Iterator[dict[str, Any]]:
        """Hold the lock of the lake, with leftovers swept, and hand out the manifest."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / ".lock", f"writing to {self.folder}"):
            manifest = self._manifest()
            self._sweep(manifest)
            yield manifest

    def _sweep(self, manifest: dict[str, Any]) -> None:
        """Remove files that no manifest names: leftovers of killed writes and replaced tables."""
        shutil.rmtree(self.folder / ".staging", ignore_errors=True)
        live = {e["file"] for entries in manifest["tables"].values() for e in entries}
        for name in schema.TABLES:
            for path in (self.folder / name).rglob("*.parquet"):
                if str(path.relative_to(self.folder)) not in live:
                    path.unlink()

    def _write(
        self,
        name: str,
        rows: "ibis.Table | pl.DataFrame",
        held: "tuple[ibis.Table | None, ibis.Table | None]",
        load_id: str,
        manifest: dict[str, Any],
    ) -> list[Path]:
        """Write new rows of a table, beside those held that stay, and return the files."""
        rows = fresh_rows(name, rows, held, load_id)
        stage = self.folder / ".staging" / name
        stage.mkdir(parents=True)
        if name == "events":
            write_days(self.batches(rows, BATCH_ROWS), stage, CHUNK_ROWS, self.threads)
        else:
            self.backend.to_parquet(rows, stage / "rows.parquet")
        moved = []
        for number, path in enumerate(sorted(stage.rglob("*.parquet"))):
            day = path.parent.name if name == "events" else ""
            target = self.folder / name / day / f"{load_id}-{manifest['version']}-{number}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            moved.append(target)
        return moved

    def _commit(self, manifest: dict[str, Any], fresh: list[Path]) -> None:
        """Make the new files durable, then switch the manifest to them."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(sync, fresh))
            list(pool.map(sync, {path.parent for path in fresh}))
        manifest["version"] += 1
        draft = self.folder / "manifest.json.new"
        draft.write_text(json.dumps(manifest))
        sync(draft)
        draft.replace(self.folder / "manifest.json")
        sync(self.folder)
        shutil.rmtree(self.folder / ".staging", ignore_errors=True)
