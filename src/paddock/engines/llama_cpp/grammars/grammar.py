"""A grammar in Lark's notation or in GBNF, as GBNF."""

from __future__ import annotations

import re

from paddock.engines.llama_cpp.grammars import gbnf, lark
from paddock.engines.llama_cpp.grammars.writer import write
from paddock.errors import InvalidRequest

_GBNF_RULE = re.compile(r"^[ \t]*[A-Za-z0-9_-]++\s*::=", re.MULTILINE)


def from_grammar(text: str, param: str) -> str:
    """GBNF, in the form that llama.cpp takes, of a grammar in Lark's notation (`start: ...`) or in GBNF
    (`root ::= ...`): a rule defined with `::=` tells which.

    Raises:
        InvalidRequest: it is neither, has an error in it, or is too large.
        UnsupportedParameter: it has something that no grammar can say, or that is not offered.
    """
    if not text.strip():
        raise InvalidRequest(
            f"{param} must be a grammar, like `start: ...` in Lark's notation or `root ::= ...` in GBNF",
            param=param,
        )
    notation = gbnf if _GBNF_RULE.search(text) else lark
    return write(notation.read(text, param), param)
