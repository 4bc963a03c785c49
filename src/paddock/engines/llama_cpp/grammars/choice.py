"""One of several texts, as GBNF."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.engines.llama_cpp.grammars.characters import writable
from paddock.engines.llama_cpp.grammars.limits import MOST_TEXT
from paddock.engines.llama_cpp.grammars.syntax import Grammar, Literal, alternatives, sequence
from paddock.engines.llama_cpp.grammars.writer import write
from paddock.errors import InvalidRequest


def from_choice(choices: Sequence[str], param: str) -> str:
    """GBNF that matches one of the texts and nothing else. An empty text is an answer without any.

    Raises:
        InvalidRequest: there is no text, or one that no answer can be; `param` names the field.
    """
    if not choices:
        raise InvalidRequest(f"{param} must name at least one text to choose", param=param)
    if sum(map(len, choices)) > MOST_TEXT:
        raise InvalidRequest(f"{param} must have at most {MOST_TEXT} characters in all", param=param)
    for index, text in enumerate(choices):
        if bad := next((character for character in text if not writable(character)), None):
            raise InvalidRequest(
                f"{param}.{index} has the character U+{ord(bad):04X}, which no answer can have", param=param
            )
    root = alternatives(sequence([Literal(text)]) for text in choices)
    return write(Grammar({"root": root}, "root"), param)
