"""The tag on a page of another site, in a real Chromium: what it hears arrives, once each."""

import http.server
import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from shopkeeper.operations.keys import Keys
from shopkeeper.streaming.log import EventLog

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FAKE_SHOP = Path(__file__).parents[1] / "rooms" / "serving" / "fake_shop.py"
PAGE = """<!doctype html><title>A shop page</title>
<script>
window.dataLayer = [];
function gtag() {{ dataLayer.push(arguments); }}
gtag("set", {{ user_id: "17850" }});
gtag("event", "view_item", {{ currency: "GBP", items: [{{ item_id: "22001", price: 2.5 }}] }});
</script>
<script src="{address}/tag.js" data-key="{key}" defer></script>"""

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not CHROMIUM, reason="There is no Chromium: apt-get install chromium"),
]


@pytest.fixture
def site():
    """A web site that shows one page, and its address."""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(self.server.page.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as made:
        made.page = ""
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made, f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


@pytest.fixture
def page():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--headless", "--disable-gpu"]
        )
        yield browser.new_page()
        browser.close()


class Server:
    """The shop in its own process, which may go away and come back at the same address."""

    def __init__(self, folder, origins):
        self.words = [sys.executable, str(FAKE_SHOP), str(folder), *origins]
        self.work = subprocess.Popen(self.words, stdout=subprocess.PIPE, text=True)
        self.address = self.work.stdout.readline().strip()

    def stop(self):
        self.work.terminate()
        self.work.communicate(timeout=30)


def rows(folder):
    log = EventLog(folder / "log")
    found = list(log.replay())
    log.close()
    return found


def events_of(page):
    return json.loads(page.evaluate("localStorage.getItem('shopkeeper_events')") or "[]")


def until(check):
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_pages_of_another_site_tell_what_shoppers_do(tmp_path, site, page):
    web, origin = site
    key = Keys(tmp_path).add("tag", ("events",))
    server = Server(tmp_path, [origin])
    try:
        web.page = PAGE.format(address=server.address, key=key)
        page.goto(origin)
        page.evaluate("""() => {
          dataLayer.push({ event: "add_to_cart", ecommerce: { items: [{ item_id: "22002" }] } });
          dataLayer.push({ event: "gtm.js", nothing: 1 });
          shopkeeper("search", { search_term: "cake stand" });
          shopkeeper("view_item", { items: [{ item_id: "nobody sells this" }] });
        }""")
        until(lambda: not events_of(page))
    finally:
        server.stop()
    found = rows(tmp_path)
    assert [(r["event_name"], r["item_id"], r["search_term"]) for r in found] == [
        ("view_item", "22001", None),
        ("add_to_cart", "22002", None),
        ("search", None, "cake stand"),
    ]
    assert {row["user_id"] for row in found} == {"17850"}
    assert len({row["visitor_id"] for row in found}) == 1
    assert found[0]["price_minor"] == 250


def test_a_page_of_a_site_that_is_not_named_is_refused_by_the_browser(tmp_path, site, page):
    web, origin = site
    server = Server(tmp_path, ["https://other.example"])
    try:
        web.page = PAGE.format(address=server.address, key="")
        page.goto(origin)
        page.wait_for_timeout(2_500)
        assert len(events_of(page)) == 1
    finally:
        server.stop()
    assert rows(tmp_path) == []


def test_events_wait_in_the_browser_while_the_shop_is_away(tmp_path, site, page):
    web, origin = site
    server = Server(tmp_path, [origin])
    web.page = PAGE.format(address=server.address, key="")
    page.goto(origin)
    until(lambda: not events_of(page))
    server.stop()
    page.evaluate("shopkeeper('view_item', { items: [{ item_id: '22003' }] })")
    page.wait_for_timeout(2_500)
    assert len(events_of(page)) == 1
    server = Server(tmp_path, [origin])
    try:
        # The page comes again, now from the shop's new address; what waited is sent.
        web.page = PAGE.format(address=server.address, key="")
        page.goto(origin)
        until(lambda: not events_of(page))
        with urllib.request.urlopen(f"{server.address}/healthz", timeout=5) as answer:
            assert answer.status == 200
    finally:
        server.stop()
    items = [row["item_id"] for row in rows(tmp_path)]
    assert sorted(items) == ["22001", "22001", "22003"]
