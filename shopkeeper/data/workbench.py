"""Where rows are cleaned: an engine, and a folder for what is worked out on the way.

What is worked out once lies there as Parquet, so that memory is the engine's to bound, and so
that another engine than the one that read the files can go on: DuckDB reads whatever a shop has,
Spark may clean it. Knows nothing of checks.
"""

import uuid
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkeeper.errors import Missing

if TYPE_CHECKING:
    import ibis


class Workbench:
    """One engine and one folder.

    Args:
        backend: The Ibis connection that cleans.
        folder: An empty folder for the time of the work.
    """

    def __init__(self, backend: Any, folder: Path) -> None:
        self.backend = backend
        self.folder = Path(folder)

    def keep(self, name: str, rows: "ibis.Table", *, by: Any = None) -> "ibis.Table":
        """Work out `rows` once and return them as they lie on disk.

        Args:
            name: A name for the files, each once.
            rows: An expression of an engine.
            by: The connection that `rows` are of, where it is not this one.

        Returns:
            The same rows, read by this engine.
        """
        path = self.folder / f"{name}.parquet"
        engine = by or self.backend
        # Filters that nobody looks up anything by would take a tenth of the time.
        plain = {"write_bloom_filter": False} if engine.name == "duckdb" else {}
        engine.to_parquet(rows, path, **plain)
        return self.open(path)

    def open(self, path: Path | Sequence[Path]) -> "ibis.Table":
        """Read Parquet files, or a folder of them, that `keep` or the lake wrote."""
        paths = [path] if isinstance(path, Path) else list(path)
        if self.backend.name != "duckdb":
            return self._spread(paths)
        files = [
            str(file)
            for each in paths
            for file in (sorted(each.glob("*.parquet")) if each.is_dir() else [each])
        ]
        return self.backend.read_parquet(files, union_by_name=len(files) > 1)

    def _spread(self, paths: Sequence[Path]) -> "ibis.Table":
        """Read files on Spark; Ibis takes one at a time."""
        reader = self.backend._session.read.option("mergeSchema", True)
        name = f"bench_{uuid.uuid4().hex}"
        reader.parquet(*(str(path) for path in paths)).createOrReplaceTempView(name)
        return self.backend.table(name)

    def path(self, name: str) -> Path:
        """Return where the rows that were kept as `name` lie."""
        return self.folder / f"{name}.parquet"


def spark(master: str) -> Any:
    """Return an Ibis connection on Spark, with times in UTC and as plain Parquet.

    Args:
        master: The cluster, such as `local[2]` or `spark://host:7077`.

    Returns:
        The connection; `disconnect` stops its session.

    Raises:
        Missing: PySpark is not installed.
    """
    if find_spec("pyspark") is None:
        raise Missing("Cleaning on Spark needs `pip install 'shopkeeper[spark]'` and Java 17.")
    import ibis
    from pyspark.sql import SparkSession

    settings = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.ansi.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    builder = SparkSession.builder.master(master).appName("shopkeeper")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return ibis.pyspark.connect(builder.getOrCreate())
