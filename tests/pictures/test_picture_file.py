"""A picture's file is looked at before any work is done, and what decoders say of it is heard."""

import errno
import os
import struct
import threading
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from handdata.errors import DataError, MissingError
from handdata.files import opening
from handdata.pictures import picture_file
from handdata.pictures.decode import image_size, read_image, read_raw
from handdata.pictures.orientation import as_held, orientation
from handdata.pictures.picture_file import size_of


@pytest.fixture
def picture():
    return cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 2)


def encoded(suffix, picture):
    return cv2.imencode(suffix, picture)[1].tobytes()


def png(width, height, pixels):
    """Return a PNG of 8-bit grey that claims a size and holds so many bytes of pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(pixels))) + chunk(b"IEND", b"")
    )


def cut_but_ended(picture):
    data = encoded(".jpg", picture)
    return data[: len(data) * 2 // 3] + b"\xff\xd9"


def cut_but_claimed(picture):
    data = encoded(".bmp", picture)
    return data[:2] + struct.pack("<I", 2000) + data[6:2000]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
@pytest.mark.parametrize("shape", [(48, 64, 3), (1, 7, 3), (33, 5)])
def test_the_header_says_the_size(tmp_path, suffix, shape):
    (tmp_path / f"p{suffix}").write_bytes(encoded(suffix, np.zeros(shape, np.uint8)))

    assert image_size(tmp_path / f"p{suffix}") == shape[1::-1]


def test_the_size_of_every_kind_of_webp_is_found(picture):
    lossless = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    extended = b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\x3f\0\0\x2f\0\0"

    assert lossless[12:16] == b"VP8L"
    assert [size_of(data) for data in (lossless, extended, b"RIFF" + bytes(4) + b"WEBP" + bytes(20))] == [
        (64, 48),
        (64, 48),
        None,
    ]


def test_the_size_is_found_behind_what_cameras_write_before_it(picture):
    data = encoded(".jpg", picture)
    before = b"\xff\xe1" + struct.pack(">H", 40_000) + bytes(39_998) + b"\xff\xff\xff\xfe\x00\x04no"

    assert size_of(data[:2] + before + data[2:]) == (64, 48)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_the_size_is_as_decoded_whatever_exif_says(tmp_path, kind, byte_order):
    for held in range(10):
        exif = Image.Exif()
        exif.endian = byte_order
        exif[0x010F], exif[0x0112] = "of some maker", held
        path = tmp_path / f"{held}.{kind.lower()}"
        Image.new("RGB", (40, 20)).save(path, kind, exif=exif)

        height, width = read_image(path).shape[:2]

        assert image_size(path) == (width, height) == ((20, 40) if 5 <= held <= 8 else (40, 20))


@pytest.mark.parametrize("held", range(1, 9))
def test_a_turned_picture_has_the_same_pixels_in_every_format_and_opencv(tmp_path, held):
    """OpenCV below 4.13 leaves WebP as it is stored."""
    exif = Image.Exif()
    exif[0x0112] = held
    stored = np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8)
    for kind in ("PNG", "WEBP"):
        Image.fromarray(stored).save(tmp_path / kind, kind, exif=exif, lossless=True)
    expected = read_image(tmp_path / "PNG")

    assert np.array_equal(as_held(stored, held), expected)
    assert np.array_equal(read_image(tmp_path / "WEBP"), expected)


def test_exif_cut_short_turns_nothing(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "p.jpg", exif=exif)
    data = (tmp_path / "p.jpg").read_bytes()
    start = data.index(b"Exif")

    sizes = [size_of(data[:start] + data[start : start + kept] + data[start + 32 :]) for kept in range(32)]

    assert all(size in ((40, 20), (20, 40), None) for size in sizes)
    assert [orientation(data[:end]) for end in range(start + 24)] == [1] * (start + 24)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xc0\x00\x11", b"\x89PNG\r\n\x1a\n", b"BM" + bytes(30), b"GIF89a"]
)
def test_a_header_without_a_size_says_none(data):
    assert size_of(data) is None


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (png(60_000, 60_000, 100), "expected a picture of at most 64 megapixels, got 60000 x 60000 px"),
        (png(2**31 - 1, 2**31 - 1, 100), "expected a picture of at most 64 megapixels"),
        (png(0, 10, 100), "got a header without a size"),
        (png(64, 48, 100), r"got damaged pixels \(Not enough image data\)"),
        (b"BM" + struct.pack("<IIIIii", 30, 0, 26, 40, 2**30, 2**30) + bytes(20), "at most 64 megapixels"),
    ],
)
def test_a_file_that_claims_more_than_it_holds_is_refused_before_any_work(tmp_path, capfd, data, told):
    (tmp_path / "p").write_bytes(data)

    for read in (read_image, read_raw):
        with pytest.raises(DataError, match=told):
            read(tmp_path / "p")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("damage", [cut_but_ended, cut_but_claimed])
def test_a_picture_cut_short_within_its_frame_is_refused(tmp_path, capfd, picture, damage):
    (tmp_path / "p").write_bytes(damage(picture))

    with pytest.raises(DataError, match=r"expected a whole PNG, JPEG, BMP or WebP picture, got damaged pixels"):
        read_image(tmp_path / "p")
    assert capfd.readouterr() == ("", "")


def test_every_cut_of_a_jpeg_is_noticed(tmp_path, picture):
    data = encoded(".jpg", picture)
    start = data.index(b"\xff\xda") + 20
    accepted = []
    for end in range(start, len(data) - 40, 7):
        (tmp_path / "p").write_bytes(data[:end] + b"\xff\xd9")
        try:
            read_image(tmp_path / "p")
            accepted.append(end)
        except DataError:
            pass

    assert accepted == []


def test_bytes_that_cameras_leave_behind_the_last_pixel_do_no_harm(tmp_path, capfd, picture):
    data = encoded(".jpg", picture)
    (tmp_path / "p").write_bytes(data[:-2] + b"\x00\x00\x00" + data[-2:])
    (tmp_path / "whole").write_bytes(data)

    np.testing.assert_array_equal(read_image(tmp_path / "p"), read_image(tmp_path / "whole"))
    assert capfd.readouterr() == ("", "")


def test_what_others_say_meanwhile_is_passed_on(capfd):
    result, heard = picture_file.hear(lambda: os.write(2, b"somebody else\nlibpng warning: iCCP\n"))

    assert (result, heard) == (35, b"libpng warning: iCCP\n")
    assert capfd.readouterr().err == "somebody else\n"


def test_threads_that_read_at_once_hear_of_their_own_picture_alone(tmp_path, picture):
    (tmp_path / "good").write_bytes(encoded(".jpg", picture))
    (tmp_path / "bad").write_bytes(cut_but_ended(picture))
    faults = {"good": 0, "bad": 0}

    def work(name):
        for _ in range(50):
            try:
                read_image(tmp_path / name)
            except DataError:
                faults[name] += 1

    threads = [threading.Thread(target=work, args=(name,)) for name in ("good", "bad")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == {"good": 0, "bad": 50}


def test_a_file_larger_than_any_picture_is_not_read(tmp_path, monkeypatch, picture):
    (tmp_path / "p.png").write_bytes(encoded(".png", picture))
    monkeypatch.setattr(picture_file, "LARGEST", 100)

    with pytest.raises(DataError, match=r"expected a picture of at most 0.0001 MB, got a larger file"):
        read_image(tmp_path / "p.png")


def test_a_picture_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingError):
        image_size(tmp_path / "none.png")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    told = []

    def read():
        try:
            read_image(tmp_path / "pipe.jpg")
        except DataError as error:
            told.append(str(error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(20)
    if reader.is_alive():  # let it go
        os.close(os.open(tmp_path / "pipe.jpg", os.O_WRONLY | os.O_NONBLOCK))

    assert [line.partition(": ")[2].partition(". ")[0] for line in told] == [
        "expected a picture that can be read, got no plain file"
    ]
    with pytest.raises(DataError, match="expected a picture, got a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EACCES, DataError), (errno.ELOOP, DataError), (errno.EIO, OSError)]
)
def test_what_is_wrong_with_the_file_is_a_fault_of_the_picture_and_what_is_with_the_disk_is_not(
    tmp_path, monkeypatch, number, kind
):
    def refuse(path, flags):
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(opening, "_at_once", refuse)

    with pytest.raises(kind, match=os.strerror(number)):
        read_image(tmp_path / "a.png")
