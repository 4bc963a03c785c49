"""The tokens of a grammar in Lark's notation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paddock.engines.llama_cpp.grammars.scanner import Scanner

_TOKEN = re.compile(
    r"""
    (?P<space>(?:[ \t\r\n\f]++|\\\r?\n|//[^\n]*+|\#[^\n]*+)++)
    | (?P<string>"(?:\\.|[^"\\\n])*+"i?)
    | (?P<regex>/(?![/*])(?:\\.|[^/\\\n])++/[imslux]*+)
    | (?P<rule>[?!]*+_?[a-z][_a-z0-9]*+(?![A-Z]))
    | (?P<terminal>_?[A-Z][_A-Z0-9]*+(?![a-z]))
    | (?P<number>[+-]?\d+)
    | (?P<directive>%[a-z]+)
    | (?P<sign>\.\.|->|[.~|()\[\]{}:,*+?])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is string, regex, rule, terminal, number, directive, sign or end; `at` an index of the text.

    The signs before a rule's name belong to it, which tells `a?` from `?a` where a line may end anywhere.
    """

    kind: str
    text: str
    at: int


def tokens(scanner: Scanner) -> list[Token]:
    """The text as tokens, without what stands between them, and one that says that it ends.

    Raises:
        InvalidRequest: something in it is no token.
    """
    result: list[Token] = []
    at = 0
    while at < len(scanner.text):
        found = _TOKEN.match(scanner.text, at)
        if not found:
            raise scanner.invalid(_complaint(scanner.text[at : at + 20].split("\n")[0]), at)
        kind = found.lastgroup or ""
        if kind != "space":
            result.append(Token(kind, found[0], at))
        at = found.end()
    result.append(Token("end", "", at))
    return result


def _complaint(found: str) -> str:
    if found[0] == '"':
        return "this string is not closed on its line"
    if found[0] == "/":
        return "this regular expression is not closed on its line"
    if found[0].isalpha():
        return f"names are lower case for rules and UPPER CASE for terminals, not {found!r}"
    return f"{found!r} has no meaning here"
