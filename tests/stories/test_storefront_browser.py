"""A shopper with a real Chromium: clicks, keys, narrow and wide, light and dark."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FAKE_SHOP = Path(__file__).parents[1] / "rooms" / "serving" / "fake_shop.py"
ARGS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
SEARCH = "/search?q=ivory&filter=brand:Maker"
PAGES = ("/", "/p/22017", SEARCH, "/walk", "/basket", "/you", "/nothing")

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not CHROMIUM, reason="There is no Chromium: apt-get install chromium"),
]

CONTRAST = """() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    brush.clearRect(0, 0, 1, 1);
    for (const colour of colours) { brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1); }
    return [...brush.getImageData(0, 0, 1, 1).data];
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((part) => {
      const s = part / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const grounds = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      const stops = style.backgroundImage.match(/(?:oklch|rgba?)\\([^)]*\\)/g) || [];
      layers.unshift([style.backgroundColor, ...stops]);
    }
    // Every stop of a gradient is tried on its own.
    let found = [["Canvas"]];
    for (const layer of layers)
      found = found.flatMap((under) => layer.map((one) => [...under, one]));
    return found;
  };
  const poor = [];
  const inputs = [...document.querySelectorAll("input:not([type=hidden]), select")];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode())
    if (node.data.trim()) texts.push(node.parentElement);
  let checked = 0;
  for (const element of new Set([...texts, ...inputs])) {
    if (!element.checkVisibility()) continue;
    if (element.closest("[aria-hidden=true], script, .unseen")) continue;
    checked += 1;
    for (const under of grounds(element)) {
      const back = light(paint(under));
      const front = light(paint([...under, getComputedStyle(element).color]));
      const ratio = (Math.max(back, front) + 0.05) / (Math.min(back, front) + 0.05);
      if (ratio < 4.5) poor.push([element.className, element.textContent.slice(0, 30), ratio]);
    }
  }
  return { checked, poor };
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    work = subprocess.Popen(
        [sys.executable, str(FAKE_SHOP), str(folder)], stdout=subprocess.PIPE, text=True
    )
    with work:
        yield work.stdout.readline().strip()
        work.terminate()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield made
        made.close()


@pytest.fixture
def visit(browser, address):
    """Open a page of a fresh visitor; what the browser complains of fails the test."""
    contexts, complaints = [], []

    def begin(viewport=DESKTOP, **options):
        contexts.append(browser.new_context(viewport=viewport, base_url=address, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: line.type == "error" and complaints.append(line.text))
        return page

    yield begin
    for context in contexts:
        context.close()
    assert [line for line in complaints if "status of 404" not in line] == []


def titles(page, shelf):
    return page.locator(f"#shelf-{shelf} .face-title").all_inner_texts()


def test_a_visitor_looks_and_the_shelves_follow_dismisses_and_it_is_gone(visit):
    page = visit()
    page.goto("/")
    before = titles(page, "home")
    page.goto("/search?q=spinning")
    page.locator(".tile-link").first.click()
    page.wait_for_url("**/p/**")
    page.get_by_role("button", name="Add to basket").click()
    sync_api.expect(page.locator("#basket-count .count")).to_have_text("1")
    sync_api.expect(page.locator("#said")).to_have_text("Added to your basket.")
    sync_api.expect(page.locator("#visit li").first).to_contain_text("Put in basket")
    page.locator(".brand").click()
    after = titles(page, "home")
    assert after != before
    assert "spinning top" in page.locator("#shelf-home .reason").first.inner_text()
    page.get_by_role("button", name=f"Not interested in {after[0]}").first.click()
    sync_api.expect(page.locator("#shelf-home .face-title").first).to_have_text(after[1])
    assert after[0] not in titles(page, "home")
    assert page.evaluate("document.activeElement.id") == "title-home"
    sync_api.expect(page.locator("#visit li").first).to_contain_text("Not interested in")


def test_a_shopper_without_a_mouse_searches_with_keys_alone(visit):
    page = visit()
    page.goto("/")
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        if page.evaluate("document.activeElement.role") == "combobox":
            break
    page.keyboard.type("tea li")
    box = page.get_by_role("combobox")
    sync_api.expect(box).to_have_attribute("aria-expanded", "true")
    sync_api.expect(page.get_by_role("option")).to_have_count(4)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    chosen = page.locator('[role="option"][aria-selected="true"]')
    assert chosen.get_attribute("id") == box.get_attribute("aria-activedescendant")
    sync_api.expect(box).to_have_value("red retrospot tea light holder")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=red**")
    sync_api.expect(page.get_by_role("heading", level=1)).to_contain_text("red retrospot")
    sync_api.expect(page.locator(".grid .tile")).to_have_count(1)


def test_escape_closes_the_suggestions_and_gives_the_typed_words_back(visit):
    page = visit()
    page.goto("/")
    box = page.get_by_role("combobox")
    box.press_sequentially("cake")
    sync_api.expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Escape")
    sync_api.expect(box).to_have_value("cake")
    sync_api.expect(page.get_by_role("listbox")).to_be_hidden()


def test_walking_as_a_shopper_and_back(visit):
    page = visit()
    page.goto("/walk")
    page.get_by_role("button", name="Shopper 17851").click()
    sync_api.expect(page.get_by_role("banner")).to_contain_text("17851")
    page.goto("/walk")
    page.get_by_role("button", name="A new visitor").click()
    sync_api.expect(page.get_by_role("banner")).to_contain_text("a visitor")
    sync_api.expect(page.locator("#visit")).to_contain_text("Nothing yet")


def test_a_picture_is_sent_as_soon_as_it_is_chosen(visit):
    page = visit()
    page.goto("/")
    picture = {"name": "a.png", "mimeType": "image/png", "buffer": b"\x89PNG"}
    page.get_by_label("Search by picture").locator("input").set_input_files(picture)
    sync_api.expect(page.get_by_role("heading", level=1)).to_have_text("Looks like your picture")
    assert page.locator(".face-title").count() == 24


def test_what_is_said_into_the_microphone_is_searched_for(visit):
    page = visit()
    page.goto("/")
    page.get_by_role("button", name="Say it").click()
    page.wait_for_timeout(400)
    page.get_by_role("button", name="Press when you have said it").click()
    sync_api.expect(page.get_by_role("heading", level=1)).to_contain_text("cake stand")
    sync_api.expect(page.get_by_text("You said: cake stand")).to_be_visible()


def test_a_shopper_switches_off_that_pages_follow_and_on_again(visit):
    page = visit()
    page.goto("/p/22017")
    page.goto("/")
    sync_api.expect(page.get_by_text("Because you looked at").first).to_be_visible()
    page.get_by_role("link", name="Your data").click()
    page.get_by_role("button", name="Show me what a stranger sees").click()
    page.goto("/")
    sync_api.expect(page.get_by_text("Because you looked at")).to_have_count(0)
    page.goto("/you")
    page.get_by_role("button", name="Follow what I do").click()
    page.goto("/")
    sync_api.expect(page.get_by_text("Because you looked at").first).to_be_visible()


def test_the_shop_works_without_scripts(visit):
    page = visit(java_script_enabled=False)
    page.goto("/p/22017")
    page.get_by_role("button", name="Add to basket").click()
    sync_api.expect(page.locator("#basket-count .count")).to_have_text("1")
    page.goto("/")
    first = titles(page, "home")[0]
    page.get_by_role("button", name=f"Not interested in {first}").first.click()
    assert first not in titles(page, "home")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_text_is_readable_and_nothing_sticks_out(visit, tmp_path, viewport, scheme):
    page = visit(viewport, color_scheme=scheme, reduced_motion="reduce")
    page.goto("/p/22001")
    for path in PAGES:
        page.goto(path)
        name = re.sub(r"\W+", "-", path).strip("-") or "home"
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        found = page.evaluate(CONTRAST)
        assert found["checked"] > 5
        assert found["poor"] == []
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], path
        small = page.evaluate(
            """() => [...document.querySelectorAll("button, .pill, input:not([type=hidden])")]
            .filter((e) => !e.matches(".unseen"))
            .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 44)
            .map((e) => e.outerHTML)"""
        )
        assert small == []


def test_the_contrast_check_finds_a_pale_text(visit):
    page = visit()
    page.goto("/")
    page.evaluate("document.querySelector('h1').style.color = '#ccc'")
    assert "Come in" in str(page.evaluate(CONTRAST)["poor"])


@pytest.mark.parametrize("width", [320, 700, 1920])
def test_every_width_from_320_up_fits(visit, width):
    page = visit({"width": width, "height": 800})
    for path in PAGES:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_page_has_landmarks_one_title_and_a_name_for_everything_to_press(visit):
    page = visit()
    for path in PAGES:
        page.goto(path)
        for role in ("banner", "main", "contentinfo"):
            sync_api.expect(page.get_by_role(role)).to_have_count(1)
        sync_api.expect(page.get_by_role("heading", level=1)).to_have_count(1)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select")]
            .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length))
            .map((e) => e.outerHTML)"""
        )
        assert nameless == []
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(ids) == len(set(ids))
