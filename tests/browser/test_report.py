"""The report's page in a real browser: wide, on a phone, at night, in print; no error, no request, no barrier."""

import pytest

from handdata.paths import DataRoot
from handdata.report.page import write_report
from handdata.report.runs import find_runs
from handdata.shards.dataset import open_dataset
from tests.browser.stage import barriers
from tests.made_runs import made_run, made_shards

UNFOLD = "document.querySelectorAll('details').forEach(part => part.open = true)"
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    data = DataRoot(tmp_path_factory.mktemp("root"))
    synthhands = open_dataset(made_shards(data.shards("synthhands"), "synthhands", excluded_every=5))
    stereo = open_dataset(made_shards(data.shards("stereo"), "stereo", wrist=False, origin="published"))
    made_run(data.root, "e010", [synthhands, stereo], recipe="e010")
    made_run(data.root, "own", [synthhands], recipe="demo", noise_px=9.0, mosaic=False)
    return write_report(find_runs(data, ()), data, data.runs / "report").as_uri()


@pytest.fixture
def open_page(browser, url):
    """Open the page at a width and scheme; at the end there must have been no error and no request but the page's."""
    contexts, faults = [], []

    def open_at(width, scheme="light", media="screen"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("request", lambda request: faults.append(request.url) if request.url not in (url, "data:,") else None)
        page.emulate_media(media=media, color_scheme=scheme)
        page.goto(url)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert [fault for fault in faults if not fault.startswith("data:image/")] == []


@pytest.mark.parametrize(("width", "media"), [(1400, "screen"), (390, "screen"), (794, "print")])
def test_nothing_sticks_out_sideways(open_page, width, media):
    page = open_page(width, media=media)
    page.evaluate(UNFOLD)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = """[...document.querySelectorAll('p, li, h1, h2, h3, figure, dl')]
        .filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1).length"""
    assert page.evaluate(outside) == 0


def test_wide_tables_scroll_in_their_own_frame_on_a_phone_and_keep_their_first_column(open_page):
    page = open_page(390)
    page.locator("#table-overview").click()
    frame = page.locator("[aria-labelledby=table-overview]")
    assert frame.evaluate("e => e.scrollWidth > e.clientWidth")
    frame.evaluate("e => e.scrollLeft = 200")
    left = frame.locator("tbody th").first.evaluate("e => e.getBoundingClientRect().left")
    assert left == pytest.approx(frame.evaluate("e => e.getBoundingClientRect().left"), abs=1)


@pytest.mark.parametrize("width", [1400, 390])
def test_text_is_large_enough_to_read(open_page, width):
    sizes = open_page(width).evaluate("""[...document.querySelectorAll('td, th, li, p, dt, dd, span, figcaption')]
        .map(e => parseFloat(getComputedStyle(e).fontSize))""")
    assert min(sizes) >= 12


def test_pictures_and_overlays_are_drawn(open_page):
    page = open_page(1400)
    page.locator(".evaluation > details > summary").evaluate_all("all => all.forEach(e => e.click())")
    boxes = page.locator(".shot").evaluate_all("all => all.map(e => e.getBoundingClientRect().width)")
    assert len(boxes) == 3 * 12
    assert min(boxes) > 160
    loaded = page.locator("svg image").evaluate_all("all => Promise.all(all.map(e => e.decode().then(() => true)))")
    assert all(loaded)


@pytest.mark.parametrize("width", [1400, 390])
def test_pictures_come_before_tables_and_every_table_is_folded(open_page, width):
    page = open_page(width)
    tops = page.evaluate("""['.run', '.plot', '.shot', '.part'].map(
        name => document.querySelector(name).getBoundingClientRect().top)""")
    assert tops == sorted(tops)
    assert page.locator("main .scroll table").evaluate_all("all => all.filter(e => e.checkVisibility()).length") == 0
    page.get_by_text("Table 4.1.").click()
    assert page.locator("[aria-labelledby='table-4.1']").is_visible()


def test_labels_and_predictions_can_be_hidden(open_page):
    page = open_page(1400)
    for part in ("labels", "prediction"):
        group = page.locator(f".shot .{part}").first
        assert group.is_visible()
        page.locator(f"#show-{part}").uncheck()
        assert not group.is_visible()


@pytest.mark.parametrize("width", [1400, 390])
def test_a_number_and_its_unit_stay_on_one_line(open_page, width):
    page = open_page(width)
    apart = """[...document.querySelectorAll('.values dd')].filter(e => e.querySelector('.unit')).filter(
        e => Math.abs(e.querySelector('strong').getBoundingClientRect().bottom
                      - e.querySelector('.unit').getBoundingClientRect().bottom) > 8).length"""
    assert page.locator(".values .unit").count() > 0
    assert page.evaluate(apart) == 0


def test_in_print_the_folded_tables_are_open_and_the_navigation_is_gone(open_page):
    page = open_page(794, media="print")
    assert page.locator("[aria-labelledby=table-subsets-synthhands]").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_for_anybody(open_page, axe, width, scheme):
    page = open_page(width, scheme)
    page.evaluate(UNFOLD)
    page.evaluate(axe)
    assert barriers(page) == []


def test_plots_follow_the_scheme_of_the_page(open_page):
    color = "e => getComputedStyle(e).fill"
    inks = [open_page(1400, scheme).locator("#learning svg text").first.evaluate(color) for scheme in ("light", "dark")]
    assert inks == ["rgb(27, 31, 36)", "rgb(228, 232, 236)"]
