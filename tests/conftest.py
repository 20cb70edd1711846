"""Fixtures every part of the tests may use."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The specification's folder of golden vectors and real samples; it exists only where handdata is built."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("../shared is not here: golden vectors and real samples cannot be read")
    return SHARED
