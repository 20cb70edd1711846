"""WebDataset: <split>-000000.tar ..., a picture and a JSON per sample under one key, written and read.

Format: https://github.com/webdataset/webdataset (POSIX tar, files of one sample side by side).
"""

import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from handdata.exchange.in_parts import made
from handdata.exchange.labels import Annotations, LabelRow, broken_row, make_row
from handdata.exchange.packed import packed_bytes, tar_members
from handdata.exchange.pictures import ExportView, file_key, shortened
from handdata.exchange.plain import OWN, hand_of_plain
from handdata.files.text import Wanted, as_object, decode, parse_json
from handdata.files.whole import whole
from handdata.pictures.kinds import SUFFIXES
from handdata.shards.provenance import KEY, as_json, parse_texts

SAMPLES_PER_TAR = 1000
Beside = Callable[[Mapping[str, Any]], tuple[str, bytes]]
KIND, SIGN = "WebDataset as handdata exports it", "a tar of pictures and JSON with sample_id"
_SHORT = 100  # characters of a name that fit into a header without being divided
_LONGEST_KEY = _SHORT - len(".data.pyd")
_HEADER = tarfile.TarInfo("").tobuf(tarfile.USTAR_FORMAT)  # name at 0, size at 124, sum at 148
_HEADER_SUM = int(_HEADER[148:154], 8) - sum(_HEADER[124:135])
_END = 2 * tarfile.BLOCKSIZE  # zeros behind the last member
_LABELS = Wanted(what="labels of a sample", fix="Export it again.")


def write(view: ExportView, out: Path, beside: Beside | None = None) -> None:
    """Write one split; the same bytes for the same shards. A picture with two hands is in two samples.

    Args:
        view: the split.
        out: the folder.
        beside: makes one more file of a hand's labels: the ending of its name, and its bytes.
    """
    tars = view.parts(SAMPLES_PER_TAR, by_hand=True)
    left = [tar for tar in tars if not view.is_done(out / _tar(tar))]  # the same export was killed after the others
    hands, parts = sum(len(tar.data) for tar in left), list[ExportView]()
    for tar in left:
        hands -= len(tar.data)
        parts += tar.shares(hands)
    samples = made(partial(_part, beside=beside), view, out, parts)
    for tar in left:
        with whole(out / _tar(tar)) as file:
            for members in islice(samples, len(tar.data)):
                file.write(members)
            file.write(tar_end(file.tell()))


def _part(view: ExportView, out: Path, beside: Beside | None) -> list[bytes]:  # noqa: ARG001 - of every maker
    """Return the members of each hand of a part."""
    end = f", {json.dumps({KEY: as_json(view.provenance)})[1:]}".encode()
    found = []
    for picture in view:
        data, suffix = picture.data(), picture.name.rpartition(".")[2]
        for labels in picture.labels:
            key = _key(labels[OWN])
            members = [tar_member(f"{key}.{suffix}", data)]
            if beside is not None:
                ending, more = beside(labels)
                members.append(tar_member(f"{key}.{ending}", more))
            found.append(b"".join([*members, tar_member(f"{key}.json", json.dumps(labels)[:-1].encode() + end)]))
    return found


def _key(sample_id: str) -> str:
    """Return what the names of a sample's members begin with; of one too long for a header the end and a hash."""
    key = file_key(sample_id)
    return shortened(key, _LONGEST_KEY, key)


def _tar(view: ExportView) -> str:
    return f"{view.split}-{view.number:06d}.tar"


def files(view: ExportView) -> list[str]:
    """Return the names of the files that `write` writes."""
    return [_tar(replace(view, number=number)) for number in range(-(-len(view.data) // SAMPLES_PER_TAR))]


def tar_member(name: str, data: bytes) -> bytes:
    """Return a member of a tar as its bytes: header, data, and zeros to the end of its block.

    Time, owner and mode are constants, so that all headers are alike but for name, size and sum.
    """
    if len(name) > _SHORT:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        head = member.tobuf(tarfile.USTAR_FORMAT)
    else:
        size, text = b"%011o" % len(data), name.encode("ascii")
        total = _HEADER_SUM + sum(text) + sum(size)
        head = b"".join(
            [text.ljust(100, b"\0"), _HEADER[100:124], size, _HEADER[135:148], b"%06o" % total, _HEADER[154:]]
        )
    return b"".join([head, data, bytes(-len(data) % tarfile.BLOCKSIZE)])


def tar_end(length: int) -> bytes:
    """Return the zeros behind the last member of a tar of so many bytes."""
    return bytes(_END + -(length + _END) % tarfile.RECORDSIZE)


def read(path: Path, content: Any) -> Annotations:  # noqa: ARG001 - read member by member
    """Read the labels of one tar; its pictures stay in it.

    Raises:
        DataError: it is no tar.
    """
    members = tar_members(path)
    told = [(name, _facts(path, name)) for name in members if name.endswith(".json")]
    return Annotations(
        rows=tuple(_row(path, name, facts, members) for name, facts in told),
        kind=KIND,
        sign=SIGN,
        provenance=parse_texts((facts.get(KEY) for _, facts in told), path),
        is_exported=True,
    )


def _facts(path: Path, name: str) -> dict[str, Any]:
    where = f"{path}[{name}]"
    text = decode(packed_bytes(path, name), where, _LABELS)
    return as_object(parse_json(text, where, _LABELS, finite=False), where, _LABELS)


def _row(path: Path, name: str, facts: Mapping[str, Any], members: Mapping[str, Any]) -> LabelRow:
    where = f"{path}[{name}]"
    stem = name.removesuffix(".json")
    picture = next((stem + ending for ending in SUFFIXES if stem + ending in members), None)
    if picture is None or OWN not in facts:
        return broken_row(where, "a picture beside it, and sample_id in it", "none")
    return make_row(f"{path.name}/{picture}", {k: v for k, v in facts.items() if v is not None}, where, hand_of_plain)
