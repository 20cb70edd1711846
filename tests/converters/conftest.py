"""Read single samples of a native tree, as the engine does."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from handdata import manifest
from handdata.cli import group
from handdata.converters import CONVERTERS
from handdata.converters.protocol import Plan
from handdata.shards.schema import Sample

Read = Callable[..., dict[str, Sample]]


def plan_of(name: str, root: Path, **options) -> Plan:
    return CONVERTERS[name].plan(root, manifest.load(name), CONVERTERS[name].OPTIONS(**options))


def samples_of(name: str, root: Path, **options) -> dict[str, Sample]:
    """Every sample of a tree by its id, in the order of the plan."""
    plan = plan_of(name, root, **options)
    read = CONVERTERS[name].reader(plan.root, manifest.load(name), CONVERTERS[name].OPTIONS(**options))
    return {item.id: read(item) for item in plan.items}


@pytest.fixture
def stored(tmp_path):
    """Write bytes to a file and return its path."""

    def write(data: bytes) -> Path:
        path = tmp_path / "stored"
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def refused():
    """Check that reading raises one clear line and return it."""

    def check(kind: type[Exception], action: Callable[[], object]) -> str:
        with pytest.raises(kind) as caught:
            action()
        line = str(caught.value)
        assert ": expected " in line
        assert "\n" not in line
        return line

    return check


@pytest.fixture
def cli():
    """Run the command line in this process; returns what click's runner has."""

    def run(*arguments):
        return CliRunner().invoke(group, [str(argument) for argument in arguments], catch_exceptions=False)

    return run
