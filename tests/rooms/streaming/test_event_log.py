"""What is acknowledged is on disk, whatever happens next."""

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest

from shopkeeper import schema
from shopkeeper.errors import BadConfig, ShopkeeperError
from shopkeeper.streaming import log as log_module
from shopkeeper.streaming.log import EventLog, path, read

TIME = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


def rows(*ids, items=1):
    base = dict.fromkeys(schema.EVENTS)
    return [
        base
        | {"event_id": name, "event_name": "view_item", "time": TIME, "visitor_id": "v"}
        | {"item_id": f"茶 {name}{item}"}
        for name in ids
        for item in range(items)
    ]


def ids(found):
    return [row["event_id"] for row in found]


def test_what_was_appended_comes_back_the_same_after_reopening(tmp_path):
    with EventLog(tmp_path) as log:
        done = log.append(rows("a", "b", items=2))
        assert (done.events, done.duplicates, len(done.rows)) == (2, 0, 4)
    with EventLog(tmp_path) as log:
        assert list(log.replay()) == rows("a", "b", items=2)


def test_an_event_known_by_its_id_changes_nothing_also_after_a_restart(tmp_path):
    with EventLog(tmp_path) as log:
        log.append(rows("a"))
        assert log.append(rows("a", "b")).duplicates == 1
    with EventLog(tmp_path) as log:
        done = log.append(rows("a", "b", "c"))
        assert (done.events, done.duplicates) == (1, 2)
        assert ids(log.replay()) == ["a", "b", "c"]


def test_a_torn_last_line_is_cut_off_and_the_log_goes_on(tmp_path):
    with EventLog(tmp_path) as log:
        log.append(rows("a"))
        log.append(rows("b"))
    file = path(tmp_path, 1)
    whole = file.read_bytes()
    second = whole.index(b"\n") + 1
    for cut in (second + 1, second + 12, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with EventLog(tmp_path) as log:
            assert ids(log.replay()) == ["a"]
            assert log.problems == []
            assert log.append(rows("b")).events == 1
            assert ids(log.replay()) == ["a", "b"]


def test_an_earlier_corrupt_line_is_reported_set_aside_and_skipped(tmp_path):
    with EventLog(tmp_path) as log:
        for name in "abc":
            log.append(rows(name))
    lines = path(tmp_path, 1).read_bytes().splitlines(keepends=True)
    broken = lines[1].replace(b"view_item", b"view_itex")
    path(tmp_path, 1).write_bytes(lines[0] + broken + lines[2])
    with EventLog(tmp_path) as log:
        assert ids(log.replay()) == ["a", "c"]
        assert log.problems == ["segment-00000001.jsonl line 2 is corrupt; it was skipped."]
        assert log.append(rows("b")).events == 1
    assert (tmp_path / "segment-00000001.broken").read_bytes() == broken


def test_sealed_segments_can_be_dropped_and_their_ids_stay_known(tmp_path):
    with EventLog(tmp_path) as log:
        log.append(rows("a", "b"))
        sealed = log.seal()
        log.append(rows("c"))
        assert ids(log.replay(until=sealed[-1])) == ["a", "b"]
        assert ids(log.replay(after=sealed[-1])) == ["c"]
        with pytest.raises(BadConfig, match="sealed"):
            log.drop([log.segments()[-1]])
        log.drop(sealed)
        assert ids(log.replay()) == ["c"]
    with EventLog(tmp_path) as log:
        assert log.append(rows("a", "c", "d")).duplicates == 2
        assert ids(log.replay()) == ["c", "d"]


def test_the_ids_of_dropped_segments_are_bounded_and_the_newest_are_kept(tmp_path):
    with EventLog(tmp_path, recent_ids_max=2) as log:
        for name in "abcd":
            log.append(rows(name))
        log.drop(log.seal())
        assert log.append(rows("c", "d")).duplicates == 2
        assert log.append(rows("a")).duplicates == 0


def test_a_full_segment_begins_a_new_one_in_order(tmp_path):
    with EventLog(tmp_path, segment_mb=0.0005) as log:
        for number in range(20):
            log.append(rows(f"e{number}"))
        assert len(log.segments()) > 3
        assert ids(log.replay()) == [f"e{number}" for number in range(20)]


def test_a_second_writer_is_refused_while_a_reader_is_welcome(tmp_path):
    with EventLog(tmp_path) as log:
        log.append(rows("a"))
        with pytest.raises(ShopkeeperError, match=f"Process {os.getpid()} already writes"):
            EventLog(tmp_path)
        assert ids(read(tmp_path)) == ["a"]
    with EventLog(tmp_path):
        pass
    with pytest.raises(ShopkeeperError, match="closed"):
        log.append(rows("b"))


def test_appenders_at_the_same_time_share_a_flush_and_lose_nothing(tmp_path, monkeypatch):
    flushes = []
    real = os.fsync

    def slow(handle):
        flushes.append(handle)
        threading.Event().wait(0.005)
        real(handle)

    monkeypatch.setattr(log_module.os, "fsync", slow)
    with EventLog(tmp_path) as log:
        flushes.clear()
        work = [
            threading.Thread(target=lambda n=n: [log.append(rows(f"{n}-{i}")) for i in range(10)])
            for n in range(8)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        assert len(flushes) < 60
        assert sorted(ids(log.replay())) == sorted(f"{n}-{i}" for n in range(8) for i in range(10))


def test_a_full_disk_takes_nothing_and_the_same_event_may_be_sent_again(tmp_path, monkeypatch):
    with EventLog(tmp_path) as log:
        log.append(rows("a"))
        calls = []
        real = os.fsync

        def full(handle):
            calls.append(handle)
            if len(calls) == 1:
                raise OSError(28, "No space left on device")
            real(handle)

        monkeypatch.setattr(log_module.os, "fsync", full)
        with pytest.raises(OSError, match="could not be written"):
            log.append(rows("b"))
        assert ids(log.replay()) == ["a"]
        assert log.append(rows("b")).events == 1
        assert ids(log.replay()) == ["a", "b"]


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from shopkeeper import schema
from shopkeeper.streaming.log import EventLog
log = EventLog(Path(sys.argv[1]), segment_mb=0.002)
row = dict.fromkeys(schema.EVENTS)
for number in range(1_000_000):
    new = {"event_id": str(number), "event_name": "view_item", "item_id": "p" * 50}
    log.append([row | new | {"time": datetime.now(UTC)}])
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_every_acknowledged_event_survives_kill_9(tmp_path):
    work = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with work:
        acknowledged = [work.stdout.readline().strip() for _ in range(60)]
        work.send_signal(signal.SIGKILL)
        acknowledged += work.stdout.read().split()
    with EventLog(tmp_path) as log:
        kept = ids(log.replay())
        assert log.problems == []
    assert kept[: len(acknowledged)] == acknowledged
    assert len(kept) <= len(acknowledged) + 1
