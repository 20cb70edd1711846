"""The page over shards in a real headless browser: by keyboard alone, at night, on a phone, and without a server."""

import json
import re
import threading

import numpy as np
import pytest

from handdata.browse.browsing import Browsing
from handdata.browse.drawing import small_picture
from handdata.browse.server import make_server
from handdata.browse.static import write_static
from handdata.paths import DataRoot
from handdata.shards.dataset import open_dataset
from tests.browser.stage import WAIT_MS, barriers, watched
from tests.made_runs import made_run, made_shards
from tests.served import served

pytestmark = pytest.mark.browser
TOKEN = "a-token"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = DataRoot(tmp_path_factory.mktemp("root"))
    made_shards(root.shards("synthhands"), "synthhands", samples=70, right_every=3, excluded_every=5)
    data = [open_dataset(root.shards("synthhands"))]
    made_run(root.root, "first", data, mosaic=False)
    made_run(root.root, "second", data, mosaic=False, noise_px=15.0, seed=5)
    return root


@pytest.fixture
def browsing(root):
    for path in root.shards("").glob("*.tags.json"):
        path.unlink()
    runs = [root.runs / name for name in ("first", "second")]
    opened = Browsing(root, [root.shards("synthhands")], None, runs)
    yield opened
    opened.close()


@pytest.fixture
def address(browsing):
    with served(make_server(browsing, TOKEN)) as port:
        yield f"http://127.0.0.1:{port}/#{TOKEN}"


@pytest.fixture
def open_page(browser, address):  # the server ends after its pages: one that is open says that it does not answer
    """Open an address; at the end there must have been no error and no request elsewhere."""
    contexts, faults = [], []

    def open_at(address, width=1400, scheme="light", **how):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **how)
        contexts.append(context)
        page = context.new_page()
        faults.extend(watched(page, address))
        page.goto(address)
        page.wait_for_selector("#stage[data-found]", timeout=WAIT_MS)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert [fault for several in faults for fault in several] == []


def test_the_page_names_every_script_that_it_loads_beforehand_and_no_other(open_page, address):
    page = open_page(address)
    said = page.request.get(address.partition("#")[0]).headers["link"]
    loaded = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)")

    assert sorted(re.findall(r"<(/\w+\.js)>; rel=modulepreload", said)) == sorted(
        path for path in loaded if path.endswith(".js")
    )


def found(page, count):
    page.wait_for_selector(f'#stage[data-found="{count}"]', timeout=WAIT_MS)


def shown(page):
    return page.locator("#grid .id").all_inner_texts()


def keys(page, *names):
    for name in names:
        page.keyboard.press(name)


def test_the_whole_work_by_keyboard_alone(open_page, address, browsing, root):
    page = open_page(address)
    found(page, 70)
    keys(page, "/")
    page.keyboard.type("S2/")
    found(page, 17)
    keys(page, "Escape", "ArrowRight", "t")
    page.keyboard.type("wrong label")
    keys(page, "Enter")
    page.wait_for_selector("#grid .tagged", timeout=WAIT_MS)
    second = shown(page)[1]
    assert browsing.tags[0].of(second) == (["wrong label"], "")

    keys(page, "Escape", "Enter")
    page.wait_for_selector("#large[data-drawn]", timeout=WAIT_MS)
    assert page.locator("#large h2").inner_text() == second
    keys(page, "n")
    page.keyboard.type("thumb is swapped")
    keys(page, "Control+Enter")
    page.wait_for_selector("text=saved", timeout=WAIT_MS)
    keys(page, "Escape", "ArrowRight")
    number = browsing.data["id"].tolist().index(second)
    page.wait_for_selector(f'#large[data-drawn="{number + 1}"]', timeout=WAIT_MS)
    keys(page, "Escape")
    page.wait_for_selector("#large", state="hidden", timeout=WAIT_MS)
    assert browsing.facts(number)["note"] == "thumb is swapped"

    keys(page, "c")
    found(page, 70)
    page.locator("#grid .cell").first.focus()
    keys(page, "PageDown")
    page.wait_for_selector('#stage[data-offset="60"]', timeout=WAIT_MS)
    assert len(shown(page)) == 10


def test_sorting_by_the_difference_of_two_runs_shows_where_the_first_is_worse(open_page, address, browsing):
    page = open_page(address)
    page.select_option("#sort", "difference_2D")
    page.click("#descending")
    page.wait_for_selector('#stage[data-turn="3"]', timeout=WAIT_MS)
    values = browsing.columns.numbers["difference_2D"].values
    first = int(values.argmax())
    assert shown(page)[0] == browsing.data["id"][first]
    errors = [browsing.columns.numbers[f"error_2D_{run}"].values[first] for run in ("first", "second")]
    caption = page.locator("#grid .cell .dim").first.inner_text()
    assert [float(part) for part in re.findall(r"[\d.]+$|[\d.]+(?= against)", caption)] == pytest.approx(
        errors, abs=0.006
    )
    page.locator("#grid .cell").first.click()
    page.wait_for_selector("#large[data-drawn]", timeout=WAIT_MS)

    cells = page.locator("#run-errors tbody tr").all_inner_texts()
    assert [cell.split("\t")[0] for cell in cells] == ["first", "second"]
    said = [float(cell.split("\t")[1].rstrip(" %")) for cell in cells]
    assert said[0] - said[1] == pytest.approx(float(values[first]), abs=0.02)
    assert page.locator("#large .pose").count() == 3


def test_filters_subset_and_findings_by_mouse(open_page, address, browsing, root):
    page = open_page(address)
    page.locator('[data-filter="side"] input[value="right"]').check()
    found(page, 24)
    page.locator('[data-filter="scale_mm"] input').first.fill("1000")
    found(page, 0)
    assert page.locator("#empty").is_visible()
    page.locator('[data-filter="scale_mm"] input').first.fill("")
    found(page, 24)
    page.fill("#subset-name", "rights")
    page.click("#subset")
    page.wait_for_selector("text=24 hands ->", timeout=WAIT_MS)
    assert set(open_dataset(root.shards("rights"))["side"]) == {"right"}
    page.click("#clear")
    found(page, 70)
    page.click("#findings-button")
    page.wait_for_selector('#findings[data-state="done"]', timeout=60_000)
    page.locator("#findings-list button:enabled").first.click()
    page.wait_for_selector("#found:has-text(':')", timeout=WAIT_MS)
    rows = browsing.findings.as_json()["findings"][0]["rows"]
    assert shown(page) == browsing.ids(np.array(rows[:60]))


def test_findings_are_opened_by_keyboard_alone(open_page, address, browsing):
    page = open_page(address)
    keys(page, "f")
    page.wait_for_selector('#findings[data-state="done"]', timeout=60_000)
    page.wait_for_selector("#findings-list button:focus", timeout=WAIT_MS)
    keys(page, "Enter")
    page.wait_for_selector("#found:has-text(':')", timeout=WAIT_MS)
    assert shown(page) == browsing.ids(np.array(browsing.findings.as_json()["findings"][0]["rows"][:60]))


def test_a_hand_opens_while_the_small_pictures_are_slow_and_what_is_waited_for_is_said(open_page, address, monkeypatch):
    drawn = threading.Event()
    monkeypatch.setattr(
        "handdata.browse.server.small_picture", lambda hand, **how: drawn.wait(60) and small_picture(hand, **how)
    )
    page = open_page(address)
    page.wait_for_selector("#notice:has-text('Drawing hands')", timeout=WAIT_MS)
    keys(page, "Enter")
    page.wait_for_selector("#large[data-drawn]", timeout=WAIT_MS)
    keys(page, "Escape")
    drawn.set()
    page.wait_for_selector("#notice", state="hidden", timeout=WAIT_MS)
    done = "all => Promise.all(all.map(e => e.decode().then(() => true)))"
    page.wait_for_selector("#grid li:last-child img[src]", timeout=WAIT_MS)
    assert all(page.locator("#grid img").evaluate_all(done))


def test_what_the_picture_as_shipped_is_not_shown_with_cannot_be_chosen(open_page, address):
    page = open_page(address)
    told = {"x-handdata-picture": json.dumps({"path": "a.png", "width": 9, "height": 9})}
    page.route("**/api/picture/shipped/*", lambda route: route.fulfill(headers=told, body=b""))
    keys(page, "Enter")
    page.wait_for_selector("#large[data-drawn]", timeout=WAIT_MS)
    keys(page, "p")
    page.wait_for_selector('#large[data-drawn^="shipped"]', timeout=WAIT_MS)
    assert page.locator('[data-show="run0"]').is_disabled()
    keys(page, "1", "p")
    page.wait_for_selector('#large:not([data-drawn^="shipped"])', timeout=WAIT_MS)
    assert page.locator('[data-show="run0"]').is_enabled()
    assert page.locator('[data-show="run0"]').is_checked()


def sent(page, root):
    """Return the command that is shown, and the ids that it opens."""
    page.wait_for_selector("#sent-list code", timeout=WAIT_MS)
    command = page.locator("#sent-list code").inner_text()
    page.locator("#sent button.main").click()
    page.wait_for_selector("#sent", state="hidden", timeout=WAIT_MS)
    assert command.startswith("handdata annotate ")
    return command, (root.shards("synthhands.mend.txt")).read_text().splitlines()


def test_tagged_hands_one_hand_and_findings_are_sent_to_the_annotator(open_page, address, browsing, root):
    browsing.tag("wrong", np.array([4, 9]), on=True)
    page = open_page(address)
    page.locator('[data-filter="tags"] input[value="wrong"]').check()
    found(page, 2)
    page.click("#mend")
    command, ids = sent(page, root)
    assert command.endswith(f"--ids {root.shards('synthhands.mend.txt')}")
    assert ids == browsing.ids(np.array([4, 9]))

    page.locator("#grid .cell").first.focus()
    keys(page, "Enter")
    page.wait_for_selector("#large[data-drawn]", timeout=WAIT_MS)
    keys(page, "a")
    assert sent(page, root)[1] == browsing.ids(np.array([4]))
    page.click("#close")
    page.wait_for_selector("#large", state="hidden", timeout=WAIT_MS)
    keys(page, "f")
    page.wait_for_selector('#findings[data-state="done"]', timeout=60_000)
    page.locator("#findings-list button:enabled", has_text="Mend").first.click()
    rows = browsing.findings.as_json()["findings"][0]["rows"]
    assert sent(page, root)[1] == browsing.ids(np.array(rows))


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_no_barrier_and_nothing_sticks_out(open_page, address, axe, width, scheme):
    page = open_page(address, width, scheme, bypass_csp=True)
    page.evaluate(axe)

    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width < 760:
        page.click("#filters-button")
        page.click("#work-button")
        assert page.locator("#filter-id").is_visible()
        assert barriers(page) == []
    page.locator("#grid .cell").first.click()
    page.wait_for_selector("#large[data-drawn]", timeout=WAIT_MS)
    assert barriers(page) == []
    assert page.locator("#large").evaluate("e => e.scrollWidth") <= width
    keys(page, "a")
    page.wait_for_selector("#sent-list code", timeout=WAIT_MS)
    assert barriers(page) == []
    assert page.locator("#sent").evaluate("e => e.scrollWidth - e.clientWidth") <= 0


def test_what_is_refused_while_a_dialog_is_open_is_said_above_it(open_page, address):
    page = open_page(address)
    keys(page, "?")
    page.wait_for_selector("#help[open]", timeout=WAIT_MS)
    page.evaluate("import('/dom.js').then((dom) => dom.toast('No room on the disk.'))")
    page.wait_for_selector("#toast:not([hidden])", timeout=WAIT_MS)
    on_top = """() => { const r = document.getElementById("toast").getBoundingClientRect();
        return document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2).id; }"""
    assert page.evaluate(on_top) == "toast"
    keys(page, "Escape")
    assert page.locator("#help[open]").count() == 0
    # the end of a dialog is told a moment later
    page.wait_for_selector("body > .says #toast:not([hidden])", timeout=WAIT_MS)
    assert page.evaluate(on_top) == "toast"  # it stays when the dialog goes


def test_without_the_token_the_page_says_what_to_do(browser, address):
    page = browser.new_page()
    page.goto(address.partition("#")[0])
    page.wait_for_selector("#toast:not([hidden])", timeout=WAIT_MS)
    assert "token is missing" in page.locator("#toast").inner_text()
    page.close()


def test_the_page_without_a_server_filters_sorts_and_shows(open_page, browsing, tmp_path):
    count = write_static(tmp_path / "look.html", browsing, 20)
    page = open_page((tmp_path / "look.html").as_uri())
    found(page, count)
    page.locator('[data-filter="side"] input[value="right"]').check()
    rights = [row for row in json.loads(page.locator("#offline").text_content())["rows"] if row["side"] == "right"]
    found(page, len(rights))
    page.select_option("#sort", "scale_mm")
    page.wait_for_selector('#stage[data-turn="3"]', timeout=WAIT_MS)

    assert shown(page) == [row["id"] for row in sorted(rights, key=lambda row: row["scale_mm"])]
    page.locator("#grid .cell").first.click()
    page.wait_for_selector("#large[data-drawn]", timeout=WAIT_MS)
    assert page.locator("#large .pose").count() == 3
    assert not page.locator("#tag-form").is_visible()
    loaded = page.locator("#grid img").evaluate_all("all => Promise.all(all.map(e => e.decode().then(() => true)))")
    assert all(loaded)
