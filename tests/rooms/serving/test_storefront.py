"""What people get: pages, forms that need no script, and nothing that runs which should not."""

import html
import re

import pytest

HTMX = {"hx-request": "true"}


def first_shelf(client):
    return re.findall(r'/p/(\w+)\?[^"]*place=home', client.get("/").text)


def test_a_look_at_a_product_changes_the_next_home_page_and_the_strip(client, shop):
    before = first_shelf(client)
    assert "Nothing yet" in client.get("/").text
    assert client.get("/p/22070?from=abc&place=home&at=2").status_code == 200
    page = client.get("/").text
    assert first_shelf(client) != before
    assert "Looked at" in page
    assert f"Because you looked at {shop.things['22070']['title']}" in page
    (row,) = shop.log.replay()
    assert (row["event_name"], row["request_id"]) == ("view_item", "abc")
    assert (row["item_list_id"], row["index"]) == ("home", 2)
    assert row["price_minor"] == round(float(shop.things["22070"]["price"]) * 100)


def test_not_interested_takes_the_product_off_the_shelf_at_once(client, shop):
    gone = first_shelf(client)[0]
    form = {"item_id": gone, "placement": "home"}
    part = client.post("/dismiss", data=form, headers=HTMX)
    assert part.status_code == 200
    assert part.text.lstrip().startswith('<section class="shelf" id="shelf-home"')
    assert f"/p/{gone}?" not in part.text.split("</section>")[0]
    assert 'hx-swap-oob="true"' in part.text
    assert 'aria-live="polite"' in part.text
    assert gone not in first_shelf(client)
    assert [row["event_name"] for row in shop.log.replay()] == ["dismiss"]


def test_forms_work_without_scripts_by_going_back(client, shop):
    headers = {"referer": "http://shop.test/p/22000?at=1"}
    answer = client.post(
        "/basket/add", data={"item_id": "22000"}, headers=headers, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/p/22000?at=1")
    assert shop.things["22000"]["title"] in client.get("/basket").text
    client.post("/basket/remove", data={"item_id": "22000"})
    assert "Your basket is empty" in client.get("/basket").text
    names = [row["event_name"] for row in shop.log.replay()]
    assert names[0] == "add_to_cart"
    assert "remove_from_cart" in names


def test_a_referer_cannot_send_the_browser_elsewhere(client):
    headers = {"referer": "http://shop.test//evil.example/x"}
    answer = client.post(
        "/basket/add", data={"item_id": "22000"}, headers=headers, follow_redirects=False
    )
    assert answer.headers["location"] == "/evil.example/x"


def test_buying_the_basket_writes_one_order_and_empties_it(client, shop):
    for item in ("22000", "22001"):
        client.post("/basket/add", data={"item_id": item}, headers=HTMX)
    part = client.post("/buy", data={"item_id": ["22000", "22001"]}, headers=HTMX)
    assert "Your basket is empty" in part.text
    bought = [row for row in shop.log.replay() if row["event_name"] == "purchase"]
    assert [row["item_id"] for row in bought] == ["22000", "22001"]
    assert len({row["transaction_id"] for row in bought}) == 1
    assert len({row["time"] for row in bought}) == 1


def test_an_order_with_an_unknown_product_buys_nothing(client, shop):
    answer = client.post("/buy", data={"item_id": ["22000", "nosuch"]}, headers=HTMX)
    assert answer.status_code == 404
    assert not [row for row in shop.log.replay() if row["event_name"] == "purchase"]


def test_walking_as_a_shopper_writes_that_shoppers_events_and_not_the_browsers(client, shop):
    client.get("/p/22000")
    answer = client.post("/walk", data={"user_id": "17851"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "shopper 17851" in client.get("/").text
    client.get("/p/22001")
    rows = list(shop.log.replay())
    assert rows[0]["user_id"] is None
    assert (rows[1]["user_id"], rows[1]["visitor_id"]) == ("17851", None)
    client.post("/walk", data={"user_id": ""})
    assert "Nothing yet" in client.get("/").text
    client.get("/p/22002")
    assert list(shop.log.replay())[2]["visitor_id"] not in (None, rows[0]["visitor_id"])


def test_a_cookie_cannot_open_the_history_of_a_shopper_who_is_not_offered(client):
    post = {"event_name": "view_item", "user_id": "private", "item_id": "22000"}
    assert client.post("/v1/events", json={"events": [post]}).status_code == 200
    client.cookies.set("walk_as", "private")
    assert "Nothing yet" in client.get("/").text
    assert client.post("/walk", data={"user_id": "private"}).status_code == 422


@pytest.mark.parametrize("cookie", ["x", "a b", "<script>", "é" * 3, "x" * 500])
def test_a_strange_visitor_cookie_is_replaced(client, cookie):
    answer = client.get("/", headers={"cookie": f"visitor_id={cookie}".encode("latin-1")})
    made = answer.headers["set-cookie"]
    assert re.match(r"visitor_id=[\w-]{16};", made)
    assert "HttpOnly" in made
    assert "SameSite=lax" in made


@pytest.mark.parametrize("basket", ["%5B%5B", "7", "%5B1,null%5D", "%5B%22gone%22%5D", "%5B" * 900])
def test_a_strange_basket_cookie_is_an_empty_basket(client, basket):
    answer = client.get("/basket", headers={"cookie": f"basket={basket}"})
    assert answer.status_code == 200
    assert "Your basket is empty" in answer.text


@pytest.mark.parametrize("origin", ["http://evil.test", "null", "", "http://shop.test.evil.test"])
@pytest.mark.parametrize("path", ["/dismiss", "/basket/add", "/basket/remove", "/buy", "/walk"])
def test_a_form_from_another_site_is_refused(client, shop, origin, path):
    form = {"item_id": "22000", "placement": "home"}
    answer = client.post(path, data=form, headers={"origin": origin})
    assert answer.status_code == 403
    assert list(shop.log.replay()) == []


def test_markup_in_titles_and_words_is_shown_and_never_run(client):
    for path in ("/p/evil", "/search?q=<script>", '/search?q="><img src=x onerror=alert(1)>'):
        text = client.get(path).text
        assert "<script>alert" not in text
        assert "<img" not in text
    assert (
        "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#39;co&#39; 🎄 茶"
        in client.get("/p/evil").text
    )


def test_a_product_of_which_little_is_known_has_a_page_a_tile_and_a_place_in_the_basket(client):
    assert "Price on request" in client.get("/p/bare").text
    assert "Lucky bag" in client.get("/search?q=lucky").text
    client.post("/basket/add", data={"item_id": "bare"}, headers=HTMX)
    assert "Lucky bag" in client.get("/basket").text
    assert client.get("/v1/search?q=lucky").json()["results"][0]["title"] == "Lucky bag"


def test_search_filters_sorts_pages_and_keeps_what_was_asked(client, shop):
    page = client.get("/search?q=a&filter=brand:Maker&sort=price_asc&price_min=2,50").text
    assert 'aria-label="Remove filter Maker"' in page
    assert '<option value="price_asc" selected>' in page
    assert 'value="2.5"' in page
    prices = [float(price) for price in re.findall(r"£([\d.]+)", page)]
    assert prices == sorted(prices)
    everything = client.get("/search").text
    assert "Page 1 of 4" in everything
    assert "Next →" in everything
    assert "Page 4 of 4" in client.get("/search?page=4").text
    assert "Nothing here matches" in client.get("/search?q=zzzz").text
    searched = [row["search_term"] for row in shop.log.replay()]
    assert searched == ["a", "zzzz"]


def test_what_was_understood_is_shown_and_every_link_keeps_what_was_taken_back(client):
    page = client.get("/search?q=whit&sort=price_asc").text
    (link,) = re.findall(
        r'<a class="pill" href="([^"]*)" aria-label="Take back whit → white"', page
    )
    after = client.get(html.unescape(link)).text
    assert "Take back" not in after
    assert '<input type="hidden" name="ignore" value="spelling:whit">' in after
    assert '<option value="price_asc" selected>' in after


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/p/nothing", 404),
        ("/search?q=a&page=0", 422),
        ("/search?q=a&price_min=cheap", 422),
        ("/search?q=a&price_max=nan", 422),
        ("/search?q=explode", 500),
    ],
)
def test_errors_are_friendly_pages(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "Back to the shop" in answer.text
    assert "anna" not in answer.text


def test_an_untrained_shop_says_that_it_opens_soon(untrained):
    for path in ("/", "/search?q=tea", "/walk", "/p/22000"):
        answer = untrained.get(path)
        assert answer.status_code == 503
        assert "The shop opens soon" in answer.text


def test_pages_load_only_what_the_shop_itself_holds(client):
    for path in ("/", "/p/22000", "/search?q=tea", "/walk", "/basket"):
        text = client.get(path).text
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text)
        assert " style=" not in text
        for asset in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
            assert client.get(asset).status_code == 200
    assert "Zero-Clause BSD" in client.get("/static/htmx.LICENSE.txt").text


def test_the_footer_repeats_the_notice_on_the_data(client):
    assert "Data: made for tests." in client.get("/").text


def test_a_picture_finds_what_looks_like_it(client):
    assert 'action="/search/picture"' in client.get("/").text
    page = client.post("/search/picture", files={"picture": ("a.png", b"\x89PNG")})
    assert page.status_code == 200
    assert "Looks like your picture" in page.text
    assert 'href="/p/22000?' in page.text


def test_what_was_said_is_searched_for_like_words(client):
    sent = {"audio": ("said.webm", b"said cake stand")}
    page = client.post("/search/voice", files=sent, follow_redirects=False)
    assert (page.status_code, page.headers["location"]) == (303, "/search?q=cake+stand&heard=1")
    found = client.get(page.headers["location"])
    assert "You said: cake stand" in found.text
    assert "White cake stand" in found.text
    assert "You said" not in client.get("/search?q=cake+stand").text


@pytest.mark.parametrize(("path", "field"), [("picture", "picture"), ("voice", "audio")])
def test_a_file_that_cannot_be_read_is_a_page_that_says_so(client, path, field):
    page = client.post(f"/search/{path}", files={field: ("a", b"%PDF")})
    assert page.status_code == 422
    assert "that can be read" in page.text
    assert "<h1>" in page.text


def test_a_shop_without_pictures_or_a_microphone_offers_neither(client, shop):
    shop.ways = list
    assert "/search/picture" not in client.get("/").text
    assert "/search/voice" not in client.get("/search?q=cake").text


def test_who_follows_nothing_sees_a_strangers_pages_and_is_still_written_down(client, shop):
    client.get("/p/22004")
    assert "Because you looked at" in client.get("/").text
    client.post("/you", data={"personal": "false"})
    plain = client.get("/").text
    assert "Because you looked at" not in plain
    stranger = type(client)(client.app, base_url="http://shop.test").get("/").text
    shelf = re.compile(r'href="(/p/\d+)')
    assert shelf.findall(plain.split('id="shelf-')[1]) == shelf.findall(
        stranger.split('id="shelf-')[1]
    )
    client.get("/p/22008")
    known = client.get("/you").text
    assert shop.things["22008"]["title"] in known
    assert "same as a stranger" in known
    client.post("/you", data={"personal": "true"})
    assert "Because you looked at" in client.get("/").text


def test_nobody_elses_steps_are_on_the_page_of_ones_own_data(client, shop):
    client.get("/p/22004")
    other = type(client)(client.app, base_url="http://shop.test")
    assert shop.things["22004"]["title"] not in other.get("/you").text
