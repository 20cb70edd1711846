"""Large datasets out of small ones, for benchmarks of conversion: the same pictures under many ids."""

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

from handdata import manifest
from handdata.conversion.run import convert
from handdata.converters import CONVERTERS
from handdata.converters.protocol import Item, Plan
from handdata.pictures.decode import read_image, read_raw
from handdata.workers import one_core


def repeat_items(plan: Plan, copies: int) -> Plan:
    """Let a plan hold every item many times, sequence after sequence as in a real tree."""
    items: list[Item] = []
    for _, together in groupby(plan.items, key=lambda item: (item.split, item.sequence, item.camera)):
        whole = list(together)
        items += (replace(item, id=f"{copy:04d}/{item.id}") for copy in range(copies) for item in whole)
    return replace(plan, items=tuple(items))


@contextmanager
def repeated(name: str, copies: int) -> Iterator[None]:
    """Let a dataset's plan hold every item `copies` times; workers need not know."""
    inner = CONVERTERS[name]

    def plan(*arguments: object) -> Plan:
        return repeat_items(inner.plan(*arguments), copies)

    CONVERTERS[name] = SimpleNamespace(
        plan=plan,
        reader=inner.reader,
        OPTIONS=inner.OPTIONS,
        CANVAS_SCALE=inner.CANVAS_SCALE,
        CROP_RULE=inner.CROP_RULE,
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


def decode(name: str, root: Path, copies: int) -> tuple[int, float]:
    """Read what converting reads of pictures, by the same functions and settings; return samples and seconds taken."""
    plan = repeat_items(CONVERTERS[name].plan(root, manifest.load(name), CONVERTERS[name].OPTIONS()), copies)
    pictures = [sources(plan.root, item) for item in plan.items]
    read_first = read_raw if name == "dexter1" else read_image  # its default view is a depth map
    with one_core():
        begin = time.perf_counter()
        for picture, *masks in pictures:
            read_first(picture)
            for mask in masks:
                read_raw(mask)
        return len(pictures), time.perf_counter() - begin


def own_peak_kb() -> int:
    """Return this process's most memory; ru_maxrss would be that of the process that started it, if that had more."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def main(name: str, root: str, out: str, copies: str, workers: str) -> None:
    """Convert in a process of its own, without torch; print its seconds and the most memory of one process, MB."""
    with repeated(name, int(copies)):
        begin = time.perf_counter()
        samples = convert(name, Path(root), Path(out), workers=int(workers)).num_samples
        seconds = time.perf_counter() - begin
    most = max(own_peak_kb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    sys.stdout.write(json.dumps({"per_s": samples / seconds, "memory_mb": most / 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])
