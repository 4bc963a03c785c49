"""Exact match on the kept-out phrasings: `python -m foal.evaluate` from the root of the repository.

By default the committed model answers in this process; `--base-url http://127.0.0.1:8000/v1` asks any server
that speaks the OpenAI dialect instead. Exits with 1 below a threshold.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from foal import kept_out, names, world
from foal.server import Messages, ask

Answer = Callable[[list[Messages]], list[str]]

BUNDLED = Path(__file__).parents[1] / "src" / "paddock" / "bundled" / "foal"
THRESHOLDS = {"facts": 0.95, "sums": 0.90, "recall": 0.90}
_BETWEEN = (
    "Hello!",
    "What is the capital of France?",
    "What is 7 + 5?",
    "What does a cow say?",
    "What is the opposite of hot?",
)


class Case(NamedTuple):
    """The user's turns, in order, and the right answer to the last."""

    group: str
    category: str
    turns: tuple[str, ...]
    answer: str


def main() -> None:
    options = _options()
    answer = _server(options) if options.base_url else _model(options.model)
    rights: dict[tuple[str, str], list[bool]] = {}
    asked = cases(options.seed)
    for case, given in zip(asked, converse(asked, answer), strict=True):
        right = given.strip() == case.answer
        rights.setdefault((case.group, case.category), []).append(right)
        if options.misses and not right:
            print(f"{case.category}: {' / '.join(case.turns)} -> {given!r}, not {case.answer!r}")
    survived = len(answer([[{"role": "user", "content": text}] for text in byte_prompts(options.seed)]))
    passed = report(rights)
    print(f"random bytes: {survived} prompts survived")
    sys.exit(0 if passed else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=BUNDLED, help="a folder in Hugging Face's format")
    parser.add_argument(
        "--base-url", default=None, help="a server to ask instead, such as http://127.0.0.1:8000/v1"
    )
    parser.add_argument("--name", default="foal", help="the model's name on that server")
    parser.add_argument("--api-key", default="none", help="the key for that server")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--misses", action="store_true", help="print every wrong answer")
    return parser.parse_args()


def cases(seed: int) -> list[Case]:
    """Every fact once, days and months with each template; sums, differences and recall from the seed."""
    rng = Random(seed)
    facts: list[tuple[str, str, str]] = [
        *(("capitals", country, world.capital_answer(country)) for country in world.CAPITALS),
        *(("opposites", word, world.opposite_answer(word)) for word in world.OPPOSITES),
        *(("colours", thing, world.colour_answer(thing)) for thing in world.COLOURS),
        *(("animals", animal, world.sound_answer(animal)) for animal in world.SOUNDS),
    ]
    found = []
    for index, (category, thing, answer) in enumerate(facts):
        templates = kept_out.FACTS[category]
        found.append(_fact(category, templates[index % len(templates)], thing, answer))
    for order, unit in ((world.DAYS, "days"), (world.MONTHS, "months")):
        for step, side in ((1, "after"), (-1, "before")):
            for index, template in enumerate(kept_out.FACTS[f"{unit}_{side}"]):
                for thing in (order[index % len(order)], order[(index * 5 + 3) % len(order)]):
                    found.append(
                        _fact(f"{unit}_{side}", template, thing, world.neighbour_answer(order, thing, step))
                    )
    return found + _sums(rng) + [case for _ in range(5) for case in _recalls(rng)]


def _fact(category: str, template: str, thing: str, answer: str) -> Case:
    return Case("facts", category, (world.upper_first(template.replace("{x}", thing)),), answer)


def _sums(rng: Random) -> list[Case]:
    found = []
    for index in range(160):
        a, b = rng.randint(0, 20), rng.randint(0, 20)
        said = [world.NUMBERS[a], world.NUMBERS[b]] if index % 5 == 4 else [str(a), str(b)]
        question = kept_out.SUMS[index % len(kept_out.SUMS)].replace("{a}", said[0]).replace("{b}", said[1])
        found.append(Case("sums", "sums", (world.upper_first(question),), world.sum_answer(a, b)))
        a, b = max(a, b), min(a, b)
        said = [world.NUMBERS[a], world.NUMBERS[b]] if index % 5 == 4 else [str(a), str(b)]
        question = (
            kept_out.DIFFERENCES[index % len(kept_out.DIFFERENCES)]
            .replace("{a}", said[0])
            .replace("{b}", said[1])
        )
        found.append(
            Case("sums", "differences", (world.upper_first(question),), world.difference_answer(a, b))
        )
    return found


def _recalls(rng: Random) -> list[Case]:
    """Each way of telling, asked in one of the ways, with up to three other questions in between."""
    answers = {
        "name": "Your name is {x}.",
        "city": "You live in {x}.",
        "colour": "Your favourite colour is {x}.",
        "animal": "Your favourite animal is {x}.",
        "food": "Your favourite food is {x}.",
        "age": "You are {x} years old.",
        "dog": "Your dog's name is {x}.",
        "cat": "Your cat's name is {x}.",
    }
    found = []
    for kind, (tellings, questions) in kept_out.RECALL.items():
        for telling in tellings:
            value = _value(kind, rng)
            between = rng.sample(_BETWEEN, rng.randint(0, 3))
            told = world.upper_first(telling.replace("{x}", value))
            found.append(
                Case(
                    "recall",
                    f"recall {kind}",
                    (told, *between, rng.choice(questions)),
                    answers[kind].replace("{x}", value),
                )
            )
    return found


def _value(kind: str, rng: Random) -> str:
    match kind:
        case "city":
            return rng.choice(names.CITIES)
        case "colour":
            return rng.choice(names.COLOURS)
        case "animal":
            return f"the {rng.choice(names.ANIMALS)}"
        case "food":
            return rng.choice(names.FOODS)
        case "age":
            return str(rng.randint(5, 90))
        case _:
            return rng.choice(names.GIVEN) if rng.random() < 0.7 else names.invented(rng)


def converse(asked: list[Case], answer: Answer) -> list[str]:
    """Each case as a real conversation: the model's own answers stand between the user's turns."""
    conversations: list[Messages] = [[] for _ in asked]
    for position in range(max(len(case.turns) for case in asked)):
        active = [index for index, case in enumerate(asked) if position < len(case.turns)]
        for index in active:
            conversations[index].append({"role": "user", "content": asked[index].turns[position]})
        for index, text in zip(active, answer([conversations[index] for index in active]), strict=True):
            conversations[index].append({"role": "assistant", "content": text})
    return [messages[-1]["content"] for messages in conversations]


def byte_prompts(seed: int) -> list[str]:
    rng = Random(seed)
    lengths = (0, 1, 2, 7, 40, 200)
    return [
        bytes(rng.randrange(256) for _ in range(length)).decode("utf-8", "replace")
        for length in lengths
        for _ in range(5)
    ]


def report(rights: dict[tuple[str, str], list[bool]]) -> bool:
    """Prints the table; whether every group reaches its threshold."""
    print(f"{'kept-out phrasings':24}{'right':>7}{'of':>7}{'share':>9}")
    for (_, category), right in rights.items():
        print(f"  {category:22}{sum(right):7}{len(right):7}{sum(right) / len(right):9.1%}")
    passed = True
    for group, threshold in THRESHOLDS.items():
        right = [one for (name, _), ones in rights.items() if name == group for one in ones]
        share = sum(right) / len(right)
        passed = passed and share >= threshold
        verdict = "" if share >= threshold else "  BELOW"
        print(f"{group:24}{sum(right):7}{len(right):7}{share:9.1%}   wanted {threshold:.0%}{verdict}")
    return passed


def _model(folder: Path) -> Answer:
    # Only here, so that a server can be evaluated without torch.
    from transformers import AutoTokenizer, LlamaForCausalLM

    from foal.generation import answers

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder).float().eval()
    return lambda conversations: answers(model, tokenizer, conversations)


def _server(options: argparse.Namespace) -> Answer:
    return lambda conversations: [
        ask(options.base_url, options.name, options.api_key, one) for one in conversations
    ]


if __name__ == "__main__":
    main()
