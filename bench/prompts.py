"""The prompts of batches: all different, of different lengths, and the same ones in every run."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from bench import load, probe

CHATS, TEXTS = load.PATH, "/v1/completions"
_CONSONANTS, _VOWELS = "bdfklmnprt", "aeiou"
_PLACES = ("on an old farm", "by the river", "on a high hill", "in a small town", "behind the mill")
_QUESTIONS = ("Tell me a story about {word}.", "Tell me a story about {word}.", "Remember the word {word}.")
"""Foal puts the word into its answer, by which the answers are told apart."""


def made(count: int, seed: int = 0) -> list[str]:
    """So many questions, two of three for a story; every fourth comes after up to nine other sentences."""
    chance = random.Random(seed)
    return [_made(chance, number) for number in range(count)]


def short(count: int) -> list[str]:
    """So many prompts of a few words."""
    return [f"Repeat after me: {word(number)}" for number in range(count)]


def word(number: int) -> str:
    """A word for each number: of three syllables, then of four."""
    said = ""
    while number or len(said) < 6:
        number, syllable = divmod(number, len(_CONSONANTS) * len(_VOWELS))
        consonant, vowel = divmod(syllable, len(_VOWELS))
        said += _CONSONANTS[consonant] + _VOWELS[vowel]
    return said


def is_told(prompt: str, answer: str) -> bool:
    """Whether the answer has the word in it that is the prompt's alone, which most have."""
    return prompt.rstrip(".").rpartition(" ")[2] in answer.lower()


def body(path: str, prompt: str, tokens: int, model: str) -> dict[str, Any]:
    """What is asked of `CHATS` or `TEXTS`: up to so many tokens, always the likeliest ones."""
    said = {"messages": [{"role": "user", "content": prompt}]} if path == CHATS else {"prompt": prompt}
    return {"model": model, **said, "max_tokens": tokens, "temperature": 0}


def requests(path: str, prompts: Sequence[str], tokens: int, model: str, key: str) -> list[bytes]:
    """The prompts as requests to an engine, asked greedily as Paddock asks it."""
    head = {"Authorization": f"Bearer {key}"}
    bodies = ({**body(path, prompt, tokens, model), "top_k": 1} for prompt in prompts)
    return [probe.post(path, json.dumps(one).encode(), head) for one in bodies]


def lines(path: str, prompts: Sequence[str], tokens: int, model: str) -> bytes:
    """The prompts as the input of an OpenAI batch; `custom_id` is the number of the prompt, from 0."""
    rows = (
        {
            "custom_id": custom_id(number),
            "method": "POST",
            "url": path,
            "body": body(path, prompt, tokens, model),
        }
        for number, prompt in enumerate(prompts)
    )
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def custom_id(number: int) -> str:
    return f"row-{number}"


def _made(chance: random.Random, number: int) -> str:
    question = chance.choice(_QUESTIONS).format(word=word(number))
    if number % 4:
        return question
    before = (f"A fox lived {chance.choice(_PLACES)}." for _ in range(chance.randrange(1, 10)))
    return f"{' '.join(before)} {question}"
