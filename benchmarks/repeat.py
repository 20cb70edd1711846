"""Large datasets out of small ones, for benchmarks of conversion: the same pictures under many ids."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from handdata.convert import convert
from handdata.converters import CONVERTERS
from handdata.converters.protocol import Item, Plan


def repeat_items(plan: Plan, copies: int) -> Plan:
    items = tuple(replace(item, id=f"{copy:04d}/{item.id}") for copy in range(copies) for item in plan.items)
    return replace(plan, items=items)


@contextmanager
def repeated(name: str, copies: int) -> Iterator[None]:
    """Let a dataset's plan hold every item `copies` times; workers need not know."""
    inner = CONVERTERS[name]

    def plan(*arguments: object) -> Plan:
        return repeat_items(inner.plan(*arguments), copies)

    CONVERTERS[name] = SimpleNamespace(
        plan=plan, reader=inner.reader, CANVAS_SCALE=inner.CANVAS_SCALE, CROP_RULE=inner.CROP_RULE
    )
    try:
        yield
    finally:
        CONVERTERS[name] = inner


def sources(root: Path, item: Item) -> list[Path]:
    """Every picture that converting an item has to decode."""
    picture = root / item.image
    mask = picture.parent.parent / "mask" / picture.name
    return [picture, mask] if picture.parent.name == "color" and mask.is_file() else [picture]


def main(name: str, root: str, out: str, copies: str) -> None:
    """Convert and print the most memory that took, MB."""
    with repeated(name, int(copies)):
        convert(name, Path(root), Path(out))
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
