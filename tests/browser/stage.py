"""A local page as a person sees and works it."""

import time
from collections.abc import Callable
from typing import Any

AT_ONCE = (
    "keys => { for (const key of keys) window.dispatchEvent(new KeyboardEvent('keydown', {key, cancelable: true})); }"
)
WAIT_MS = 20_000  # for the page; a busy machine is slow, and speed is for the benchmarks


class Stage:
    """A page whose element #stage says in data-* attributes what is shown, over a picture of `SIZE` on #canvas."""

    SIZE = (320, 240)
    PATIENCE_S = 20.0

    def __init__(self, page: Any, address: str, **shown: str) -> None:
        self.page = page
        self.problems, self.foreign = watched(page, address)
        page.goto(address)
        self.expect(**shown)

    def expect(self, **values: str) -> None:
        """Wait until the page shows this."""
        wanted = "".join(f'[data-{name}="{value}"]' for name, value in values.items())
        self.page.wait_for_selector(f"#stage{wanted}", timeout=WAIT_MS)

    def shown(self, name: str) -> str:
        return self.page.locator("#stage").get_attribute(f"data-{name}") or ""

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def press_at_once(self, *keys: str) -> None:
        """Press keys faster than anything that the page does a moment later, however busy the machine is."""
        self.page.evaluate(AT_ONCE, keys)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until this holds; the page's policy forbids Playwright's own way of waiting, which is eval."""
        deadline = time.monotonic() + self.PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, self.page.locator("#stage").evaluate("stage => ({...stage.dataset})")
            self.page.wait_for_timeout(20)

    def to_screen(self, x: float, y: float) -> tuple[float, float]:
        """Take a position from the picture's left top corner, in its pixels, to the screen."""
        canvas = self.page.locator("#canvas").bounding_box()
        assert canvas
        width, height = self.SIZE
        scale = min(canvas["width"] / width, canvas["height"] / height)
        left = canvas["x"] + (canvas["width"] - width * scale) / 2
        return left + x * scale, canvas["y"] + (canvas["height"] - height * scale) / 2 + y * scale

    def drag(self, *places: Any) -> None:
        """Press at the first place, move over the others, and let go at the last."""
        mouse = self.page.mouse
        mouse.move(*self.to_screen(*places[0]))
        mouse.down()
        for place in places[1:]:
            mouse.move(*self.to_screen(*place))
        mouse.up()


def watched(page: Any, address: str) -> tuple[list[str], list[str]]:
    """Return lists that fill with the errors of a page, and with what it asks of others than its own server."""
    problems: list[str] = []
    foreign: list[str] = []
    own = (address.partition("#")[0], "data:", "blob:")
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("request", lambda sent: None if sent.url.startswith(own) else foreign.append(sent.url))
    return problems, foreign


def barriers(page: Any) -> list[tuple[str, str]]:
    """Return what axe, whose source the page has run, finds."""
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [(fault["id"], fault["nodes"][0]["html"][:120]) for fault in found]
