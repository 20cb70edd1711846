"""The headless browser, and the checker of barriers."""

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
AXE_FOLDER = Path("/tmp/handdata-axe")  # a cache outside the checkout; the package is never shipped


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("no Chromium here: install it to test the page")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def axe():
    """The accessibility checker's source; fetched once by npm's ordinary client."""
    script = AXE_FOLDER / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        if not shutil.which("npm"):
            pytest.skip("no npm here: axe-core cannot be fetched")
        AXE_FOLDER.mkdir(parents=True, exist_ok=True)
        fetch = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(AXE_FOLDER), "axe-core@4"]
        done = subprocess.run(fetch, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode or not script.is_file():
            pytest.skip(f"axe-core cannot be fetched: {done.stderr.strip()[:120]}")
    return script.read_text()
