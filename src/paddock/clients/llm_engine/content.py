"""The text in a file's JSON answer, decoded while it comes."""

from __future__ import annotations

import codecs
import json
import re

_SPACE = (" ", "\t", "\r", "\n")
_HEAD = 64 * 1024
# Text up to its closing quote, an escape that is not whole yet, or half of a surrogate pair.
_WHOLE = re.compile(
    r"""(?:
        [^"\\]++
        | \\["\\/bfnrt]
        | \\u(?![dD][89abAB])[0-9a-fA-F]{4}
        | \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
    )*+""",
    re.VERBOSE,
)


class ContentReader:
    """Takes the bytes of `{"id": …, "content": "…"}` as they come and gives the content, as UTF-8.

    What stands before the content must be smaller than 64 KiB; what comes after it is not looked at.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._rest = ""
        self._inside = False
        self._done = False

    def feed(self, piece: bytes) -> bytes:
        """The part of the content that `piece` completes.

        Raises:
            ValueError: this is no such answer.
        """
        if self._done:
            return b""
        self._rest += self._decoder.decode(piece)
        if not self._inside:
            begin = _begin_of_content(self._rest)
            if begin is None:
                return b""
            self._inside = True
            self._rest = self._rest[begin:]
        match = _WHOLE.match(self._rest)
        end = match.end() if match else 0
        text = self._rest[:end]
        self._rest = self._rest[end:]
        if self._rest.startswith('"'):
            self._done = True
        elif len(self._rest) >= len(r"\ud83d\ude00"):
            raise ValueError(f"the content has an escape that JSON does not know: {self._rest[:12]!r}")
        decoded: str = json.loads(f'"{text}"', strict=False)
        return decoded.encode()

    def finish(self) -> None:
        """Check that the content came whole.

        Raises:
            ValueError: it ended before its closing quote.
        """
        if not self._done:
            raise ValueError("it ended before the content did" if self._inside else "it has no content")


def _begin_of_content(text: str) -> int | None:
    """Where the content begins, after its opening quote; None while that has not come.

    Raises:
        ValueError: there is none.
    """
    at = _value_of_content(text)
    if text[at : at + 1] == '"':
        return at + 1
    if at < len(text):
        raise ValueError("its content is no text")
    if len(text) > _HEAD:
        raise ValueError("it has no content")
    return None


def _value_of_content(text: str) -> int:
    """Where the value of the member `content` begins; the end of `text` if that is not there yet."""
    at = _after_space(text, 0)
    if text[at : at + 1] not in ("", "{"):
        raise ValueError("it is no JSON object")
    decoder = json.JSONDecoder()
    try:
        while text[at : at + 1] in ("{", ","):
            name, at = decoder.raw_decode(text, _after_space(text, at + 1))
            at = _after_space(text, at)
            if text[at : at + 1] != ":":
                break
            at = _after_space(text, at + 1)
            if name == "content":
                return at
            _, at = decoder.raw_decode(text, at)
            at = _after_space(text, at)
    except ValueError:
        # A member that is not whole: more has to come.
        pass
    return len(text)


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1] in _SPACE:
        at += 1
    return at
