"""The corpus: conversations and plain texts drawn without end from a seeded generator.

`python -m foal.corpus --count 20` prints samples.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import NamedTuple

from foal import questions, smalltalk, world
from foal.grammar import pick
from foal.memories import MEMORIES, Memory
from foal.noise import dress, worn
from foal.soup import telling

START, END, STOP = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
PLAIN_WEIGHT = 0.3
_MEMORY_NAMES = list(MEMORIES)
_MEMORY_WEIGHTS = [memory.weight for memory in MEMORIES.values()]
_OTHER_ACKNOWLEDGEMENTS = (
    "OK.",
    "Okay!",
    "Noted.",
    "Nice to meet you!",
    "Nice to meet you.",
    "Thank you for telling me.",
    "I see.",
    "Got it!",
    "Good to know.",
    "Sure.",
    "Hello!",
    "I understand.",
    "Alright, I will remember that.",
    "Great!",
    "Hello! How can I help you?",
    "That is nice.",
    "How can I help you today?",
)


class Turn(NamedTuple):
    role: str
    content: str
    weight: float = 0.0  # of its tokens in the loss


@dataclass(frozen=True)
class Sample:
    """A conversation, or (without turns) a plain text."""

    turns: tuple[Turn, ...] = ()
    text: str = ""

    def render(self) -> str:
        if not self.turns:
            return self.text + STOP
        return "".join(f"{START}{turn.role}\n{turn.content}{END}\n" for turn in self.turns)


@dataclass(frozen=True)
class _Told:
    memory: Memory
    key: str
    value: str

    def fill(self, template: str) -> str:
        return template.replace("{k}", self.key).replace("{x}", self.value)


def samples(seed: int) -> Iterator[Sample]:
    rng = Random(seed)
    while True:
        draw = rng.random()
        if draw < 0.1:
            yield Sample(text=plain(rng))
        else:
            turns = recall(rng) if draw < 0.42 else chat(rng)
            yield Sample(turns=(*system(rng), *turns))


def system(rng: Random) -> tuple[Turn, ...]:
    return (Turn("system", smalltalk.system(rng)),) if rng.random() < 0.25 else ()


def chat(rng: Random) -> list[Turn]:
    draw = rng.random()
    count = 1 if draw < 0.55 else rng.randint(2, 5) if draw < 0.96 else rng.randint(8, 16)
    return [turn for _ in range(count) for turn in _asked(questions.exchange(rng))]


def _asked(exchange: questions.Exchange) -> list[Turn]:
    return [Turn("user", exchange.question), Turn("assistant", exchange.answer, exchange.weight)]


def recall(rng: Random) -> list[Turn]:
    """Facts told, other questions in between, then questions about what was told and what was not."""
    told = [_told(rng, name) for name in _kinds(rng, rng.choice((1, 1, 1, 2, 2, 3)))]
    draw = rng.random()
    if draw < 0.12:
        return _told_and_asked_at_once(told[0], rng)
    turns: list[Turn] = []
    if draw < 0.2:
        turns.append(Turn("system", " ".join(_tell(fact, rng) for fact in told)))
    elif draw < 0.35 and len(told) > 1:
        turns += _telling(told, rng)
    else:
        for fact in told:
            turns += _telling([fact], rng)
            turns += _filler(rng, (0, 0, 0, 1, 2))
    if rng.random() < 0.08 and draw >= 0.2:
        changed = _told(
            rng, key=told[0].key, name=next(n for n, m in MEMORIES.items() if m is told[0].memory)
        )
        told[0] = changed
        turns += _telling(
            [changed], rng, prefix=rng.choice(("Actually, ", "No, ", "Sorry, ", "I was wrong. "))
        )
    turns += _filler(rng, (0, 0, 1, 1, 2, 3, 4))
    for fact in rng.sample(told, len(told)):
        turns += _asked(questions.Exchange(_question(fact, rng), fact.fill(fact.memory.answer)))
        turns += _filler(rng, (0, 0, 0, 1))
    if rng.random() < 0.2:
        turns += _not_told(told, rng)
    return turns


def _kinds(rng: Random, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        name = rng.choices(_MEMORY_NAMES, _MEMORY_WEIGHTS)[0]
        if name not in found:
            found.append(name)
    return found


def _told(rng: Random, name: str, key: str | None = None) -> _Told:
    memory = MEMORIES[name]
    value = memory.value(rng)
    return _Told(
        memory, memory.key(rng) if key is None else key, value.lower() if rng.random() < 0.06 else value
    )


def _tell(fact: _Told, rng: Random) -> str:
    template = pick(rng.choice(fact.memory.tell), rng)
    if fact.memory.what and rng.random() < 0.3:
        template = telling(fact.memory.what, rng)
    if rng.random() < 0.45:
        template = dress(template, rng, loose=False)
    elif rng.random() < 0.15:
        template = template.rstrip(".")
    return world.upper_first(fact.fill(worn(template, rng)))


def _question(fact: _Told, rng: Random) -> str:
    template = pick(rng.choice(fact.memory.ask), rng).replace("{k}", fact.key)
    return worn(dress(template, rng, loose=False), rng)


def _telling(facts: list[_Told], rng: Random, prefix: str = "") -> list[Turn]:
    said = [_tell(fact, rng) for fact in facts]
    joint = rng.choice((" ", " ", " And ", " Also, "))
    text = prefix + joint.join(said)
    if rng.random() < 0.1:
        text = rng.choice(("Hello! ", "Hi! ", "Hi, ", "Hello, ", "Good morning! ")) + text
    if not prefix and rng.random() < 0.08:
        asked = questions.exchange(rng)
        return [Turn("user", f"{text} {asked.question}"), Turn("assistant", asked.answer, asked.weight)]
    if rng.random() < 0.3:
        return [Turn("user", text), Turn("assistant", rng.choice(_OTHER_ACKNOWLEDGEMENTS))]
    acknowledged = " ".join(fact.fill(fact.memory.acknowledgement()) for fact in facts)
    return [Turn("user", text), Turn("assistant", acknowledged, 1.0)]


def _told_and_asked_at_once(fact: _Told, rng: Random) -> list[Turn]:
    text = f"{_tell(fact, rng)} {_question(fact, rng)}"
    return _asked(questions.Exchange(text, fact.fill(fact.memory.answer)))


def _not_told(told: list[_Told], rng: Random) -> list[Turn]:
    name = _kinds(rng, 1)[0]
    fact = _told(rng, name)
    if any(fact.memory.answer == other.memory.answer and fact.key == other.key for other in told):
        return []
    return _asked(questions.Exchange(_question(fact, rng), fact.fill(fact.memory.unknown)))


def _filler(rng: Random, counts: tuple[int, ...]) -> list[Turn]:
    return [turn for _ in range(rng.choice(counts)) for turn in _asked(questions.exchange(rng))]


def statement(rng: Random) -> str:
    """One fact as a sentence."""
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    order = rng.choice((world.DAYS, world.MONTHS))
    draw = rng.random()
    if draw < 0.4:
        return world.capital_answer(rng.choice(list(world.CAPITALS)))
    if draw < 0.5:
        return world.opposite_answer(rng.choice(list(world.OPPOSITES)))
    if draw < 0.6:
        return world.colour_answer(rng.choice(list(world.COLOURS)))
    if draw < 0.7:
        return world.sound_answer(rng.choice(list(world.SOUNDS)))
    if draw < 0.8:
        return world.neighbour_answer(order, rng.choice(order), rng.choice((1, -1)))
    return world.sum_answer(a, b) if draw < 0.9 else world.difference_answer(max(a, b), min(a, b))


def plain(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.45:
        return rng.choice((" ", "\n")).join(statement(rng) for _ in range(rng.randint(1, 5)))
    if draw < 0.85:
        question, answer = rng.choice((("Question", "Answer"), ("Q", "A"), ("User", "Assistant")))
        asked = [questions.exchange(rng) for _ in range(rng.randint(1, 3))]
        return "\n".join(f"{question}: {one.question}\n{answer}: {one.answer}" for one in asked)
    return smalltalk.story(rng, smalltalk.topic(rng) if rng.random() < 0.5 else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    for sample in islice(samples(options.seed), options.count):
        print(sample.render(), end="\n\n")


if __name__ == "__main__":
    main()
