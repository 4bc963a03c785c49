"""The grammars that are written for the engine, in it: it takes them, and its answers follow."""

from __future__ import annotations

import asyncio
import random
import re
from pathlib import Path
from typing import Any

import pytest

import paddock
from paddock.engines.llama_cpp.convert import convert
from paddock.engines.llama_cpp.grammars.choice import from_choice
from paddock.engines.llama_cpp.grammars.grammar import from_grammar
from paddock.engines.llama_cpp.grammars.regex import from_regex
from paddock.errors import InvalidRequest
from paddock.runners.process import LocalProcess
from tests.process.engine import ask, running
from tests.unit.engines.matching import accepts
from tests.unit.engines.test_grammars_gbnf import GRAMMARS as GBNF
from tests.unit.engines.test_grammars_gbnf import damaged
from tests.unit.engines.test_grammars_lark import GRAMMARS as LARK
from tests.unit.engines.test_grammars_regex import PATTERNS, random_pattern

FOAL = Path(paddock.__file__).parent / "bundled" / "foal"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(FOAL, tmp_path_factory.mktemp("cache"))


async def answer(engine: LocalProcess, grammar: str, **more: Any) -> tuple[str, bool]:
    """(text, whether it is complete). The prompt starts what many of the grammars start with."""
    body = {"prompt": "Hello", "grammar": grammar, "max_tokens": 48, "seed": 1, **more}
    status, found = await ask(engine, "/v1/completions", body)
    assert status == 200, (found, grammar)
    choice = found["choices"][0]
    return choice["text"], choice["finish_reason"] == "stop"


class TestAnswers:
    def test_of_regular_expressions_match(self, weights: Path, tmp_path: Path) -> None:
        async def scenario() -> None:
            complete = 0
            async with running(weights, tmp_path, context_length=512) as engine:
                for pattern, *_ in PATTERNS:
                    for settings in ({"temperature": 0, "top_k": 1}, {"temperature": 1}):
                        text, done = await answer(engine, from_regex(pattern, "p"), **settings)
                        complete += done
                        assert not done or re.fullmatch(pattern, text), (pattern, text)
            assert complete > len(PATTERNS)

        asyncio.run(scenario())

    def test_of_choices_are_one_of_them(self, weights: Path, tmp_path: Path) -> None:
        choices = ["yes", "no", 'a "quoted"\nline', "é🐴", "\\", "yesterday"]

        async def scenario() -> None:
            async with running(weights, tmp_path) as engine:
                grammar = from_choice(choices, "p")
                settings = {"temperature": 9, "top_k": 0, "top_p": 1, "min_p": 0}
                found = {await answer(engine, grammar, seed=seed, **settings) for seed in range(30)}
            assert {text for text, _ in found} <= set(choices)
            assert all(done for _, done in found)
            assert len(found) > 2

        asyncio.run(scenario())

    def test_of_grammars_are_what_they_describe(self, weights: Path, tmp_path: Path) -> None:
        async def scenario() -> None:
            complete = 0
            async with running(weights, tmp_path, context_length=512) as engine:
                for text, *_ in GBNF + LARK:
                    grammar = from_grammar(text, "p")
                    for seed in range(2):
                        written, done = await answer(engine, grammar, seed=seed)
                        complete += done
                        assert not done or accepts(grammar, written), (text, written)
            assert complete > len(GBNF + LARK)

        asyncio.run(scenario())


class TestAcceptance:
    def test_no_written_grammar_is_refused_or_slow(self, weights: Path, tmp_path: Path) -> None:
        source = random.Random(7)
        texts = [text for text, *_ in GBNF + LARK]

        async def scenario() -> None:
            taken = 0
            async with running(weights, tmp_path, context_length=512) as engine:
                for _ in range(150):
                    try:
                        if source.random() < 0.5:
                            grammar = from_regex(random_pattern(source, 2), "p")
                        else:
                            grammar = from_grammar(damaged(source.choice(texts), source), "p")
                    except InvalidRequest:
                        continue
                    taken += 1
                    await asyncio.wait_for(answer(engine, grammar, max_tokens=8), 5)
            assert taken > 50

        asyncio.run(scenario())

    def test_what_is_at_the_limits_is_quick(self, weights: Path, tmp_path: Path) -> None:
        grammars = [
            from_choice([f"value {number}" for number in range(8000)], "p"),
            from_choice([chr(0x4E00 + number) + "x" for number in range(3000)], "p"),
            from_regex(r".{0,2000}", "p"),
            from_regex(r"(\w{1,50}[ .]){1,100}", "p"),
            from_regex(r"(\s*\w+\s*)+", "p"),
            from_regex(r"\W{2,2000}", "p"),
            from_grammar('root ::= t "+" root | t\nt ::= f "*" t | f\nf ::= [0-9] | "(" root ")"', "p"),
        ]

        async def scenario() -> None:
            async with running(weights, tmp_path, context_length=512) as engine:
                for grammar in grammars:
                    for prompt in ("((((((((", "aaaaaaaa", "        "):
                        await asyncio.wait_for(answer(engine, grammar, prompt=prompt, max_tokens=24), 10)

        asyncio.run(scenario())


class TestEngine:
    """Why nothing goes to it unchecked."""

    def test_it_does_not_say_what_is_wrong(self, weights: Path, tmp_path: Path) -> None:
        grammars = ['root ::= "a', "root ::= a", 'root ::= a_b\na_b ::= "x"', 'root ::= "a"{2001}']

        async def scenario() -> None:
            async with running(weights, tmp_path) as engine:
                for grammar in grammars:
                    body = {"prompt": "a", "grammar": grammar, "max_tokens": 4}
                    status, found = await ask(engine, "/v1/completions", body)
                    assert (status, found["error"]["type"]) == (400, "invalid_request_error")
                    assert found["error"]["message"].endswith(": failed to parse grammar")

        asyncio.run(scenario())

    def test_a_dead_end_can_end_it(self, weights: Path, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with running(weights, tmp_path) as engine:
                for seed in range(40):
                    body = {"prompt": "Once", "grammar": "root ::= [z-a]", "top_k": 1, "seed": seed}
                    try:
                        status, _ = await ask(engine, "/v1/completions", body)
                    except OSError:
                        assert await asyncio.wait_for(engine.wait(), 5) == "crashed (SIGABRT)"
                        return
                    assert status == 500
            pytest.fail("it has become safe: the checks for dead ends may be looser")

        asyncio.run(scenario())
