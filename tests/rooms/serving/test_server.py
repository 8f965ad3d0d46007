"""A real server in its own process: kills, signals, taken ports."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from shopkeeper.errors import BadConfig
from shopkeeper.serving.app import _listen
from shopkeeper.streaming.log import EventLog

SCRIPT = Path(__file__).with_name("fake_shop.py")


@pytest.fixture
def server(tmp_path):
    work = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with work:
        yield work, work.stdout.readline().strip()
        work.kill()


def post(address, number):
    event = {"event_name": "view_item", "visitor_id": "v", "item_id": "22000"}
    body = json.dumps({"events": [event | {"event_id": str(number)}]}).encode()
    request = urllib.request.Request(
        f"{address}/v1/events", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["accepted"]


@pytest.mark.faults
def test_every_acknowledged_event_survives_kill_9_of_the_server(server, tmp_path):
    work, address = server
    acknowledged = []

    def shopper(name):
        for number in range(10_000):
            try:
                post(address, f"{name}-{number}")
            except (OSError, http.client.HTTPException):
                # Also an answer that was cut off: it acknowledged nothing.
                return
            acknowledged.append(f"{name}-{number}")

    shoppers = [threading.Thread(target=shopper, args=(name,)) for name in range(4)]
    for thread in shoppers:
        thread.start()
    while len(acknowledged) < 80:
        time.sleep(0.01)
    work.send_signal(signal.SIGKILL)
    for thread in shoppers:
        thread.join()
    with EventLog(tmp_path / "log") as log:
        kept = {row["event_id"] for row in log.replay()}
        assert log.problems == []
    assert set(acknowledged) <= kept
    assert len(kept) <= len(acknowledged) + len(shoppers)


@pytest.mark.faults
def test_a_terminated_server_finishes_and_gives_the_log_free(server, tmp_path):
    work, address = server
    assert post(address, 1) == 1
    work.send_signal(signal.SIGTERM)
    assert work.wait(10) in (0, -signal.SIGTERM)
    EventLog(tmp_path / "log").close()


@pytest.mark.faults
def test_health_answers_while_events_wait_for_the_disk(server):
    _, address = server
    stop = threading.Event()

    def busy():
        number = 0
        while not stop.is_set():
            post(address, f"{threading.get_ident()}-{number}")
            number += 1

    work = [threading.Thread(target=busy) for _ in range(4)]
    for thread in work:
        thread.start()
    waits = []
    for _ in range(20):
        began = time.perf_counter()
        with urllib.request.urlopen(f"{address}/healthz", timeout=10) as answer:
            assert answer.status == 200
        waits.append(time.perf_counter() - began)
    stop.set()
    for thread in work:
        thread.join()
    assert sorted(waits)[10] < 0.5


def test_a_taken_port_is_one_clear_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadConfig, match=rf"Cannot listen on 127.0.0.1:{port}: .*--port"):
            _listen("127.0.0.1", port)
    with pytest.raises(BadConfig, match="Cannot listen"):
        _listen("127.0.0.1", 99_999)
