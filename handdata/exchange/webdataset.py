"""WebDataset: <split>-000000.tar ..., a picture and a JSON per sample under one key.

Format: https://github.com/webdataset/webdataset (POSIX tar, files of one sample side by side).
"""

import io
import json
import tarfile
from pathlib import Path

from handdata.exchange.pictures import encoded, file_key, plain_labels
from handdata.files.whole import whole
from handdata.progress import track
from handdata.shards.dataset import Dataset

SAMPLES_PER_TAR = 1000


def write(data: Dataset, split: str, out: Path, picture: str) -> None:
    """Write one split; the same bytes for the same shards."""
    for number, start in enumerate(range(0, len(data), SAMPLES_PER_TAR)):
        part = data[start : start + SAMPLES_PER_TAR]
        name = f"{split}-{number:06d}.tar"
        with whole(out / name) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for place, hand in enumerate(track(part, name, len(part))):
                key = file_key(hand.id)
                _add(tar, f"{key}.{picture}", encoded(part.image(place), picture))
                _add(tar, f"{key}.json", json.dumps(plain_labels(hand)).encode())


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # time, owner and mode are constants
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
