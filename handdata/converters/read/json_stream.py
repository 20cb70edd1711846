"""JSON objects of lists too large to hold at once: their elements one after the other. No dataset names."""

import json
from collections.abc import Iterator
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import IO, Any

from handdata.errors import DataError, MissingError
from handdata.files.opening import open_plain
from handdata.files.text import Wanted, check_characters, ends_early

_CHUNK = 1 << 20  # characters read at a time
_LARGEST = 1 << 24  # characters of one element
_SPACES = " \t\r\n"
_FIX = "Unpack that file from the archive again."
_CUT = "a file that ends early"
_WANTED = Wanted(what="a JSON object of lists", fix=_FIX)


class _Text:
    """A file's text from a place on, as much of it as has been needed."""

    def __init__(self, file: IO[str], path: Path) -> None:
        self.file, self.path, self.text, self.at = file, path, "", 0
        self.decode = json.JSONDecoder().raw_decode

    def more(self) -> bool:
        """Read on; False at the end. What was passed is dropped."""
        if len(self.text) - self.at > _LARGEST:
            raise self.fault("an element of more than 16 million characters")
        read = self.file.read(_CHUNK)
        self.text, self.at = self.text[self.at :] + read, 0
        return bool(read)

    def peek(self) -> str:
        """Return the next character that is no space, "" at the end; stand before it."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in _SPACES:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def take(self, wanted: str) -> None:
        """Pass one character, which must come next."""
        if self.peek() != wanted:
            raise self.fault(f"{self.peek()!r} instead of {wanted!r}" if self.peek() else _CUT)
        self.at += 1

    def value(self) -> Any:
        """Pass and return one value."""
        self.peek()
        while True:
            try:
                value, end = self.decode(self.text, self.at)
            except (ValueError, RecursionError) as error:  # cut off, if JSON's own; else a number of 5,000 digits
                if not isinstance(error, json.JSONDecodeError) or not self.more():
                    is_cut = isinstance(error, json.JSONDecodeError) and (not error.doc.strip() or ends_early(error))
                    raise self.fault(_CUT if is_cut else f"no JSON ({error})") from None
                continue
            if end == len(self.text) and self.more():
                continue  # a number may go on
            if "\\u" in self.text[self.at : end]:
                check_characters(self.text[self.at : end], value, self.path, _WANTED)
            self.at = end
            return value

    def fault(self, got: str) -> DataError:
        return DataError(self.path, expected="a JSON object of lists", got=got, fix=_FIX)


def stream(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the elements of every list of a JSON object, each with the list's key, in the order of the file.

    What is no list is passed over.

    Raises:
        MissingError: no such file.
        DataError: it cannot be read, or is no object of lists.
    """
    try:
        with TextIOWrapper(BufferedReader(open_plain(path)), encoding="utf-8-sig") as file:
            yield from _elements(_Text(file, path))
    except FileNotFoundError:
        raise MissingError(path, expected="a JSON object of lists", got="no such file", fix=_FIX) from None
    except OSError as error:
        raise DataError(path, expected="a JSON object of lists", got=str(error.strerror), fix=_FIX) from None
    except UnicodeDecodeError:
        raise DataError(path, expected="text in UTF-8", got="other bytes", fix=_FIX) from None


def _elements(text: _Text) -> Iterator[tuple[str, Any]]:
    text.take("{")
    while text.peek() != "}":
        key = text.value()
        text.take(":")
        if text.peek() == "[":
            text.at += 1
            while text.peek() != "]":
                yield str(key), text.value()
                if text.peek() != "]":
                    text.take(",")
            text.at += 1
        else:
            text.value()
        if text.peek() != "}":
            text.take(",")
