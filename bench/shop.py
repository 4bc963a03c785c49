"""A made-up shop: 300 questions with answers that nobody could guess, and each asked in other words too."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

_KINDS = (
    "lantern",
    "kettle",
    "saddlebag",
    "clock",
    "hammock",
    "teapot",
    "compass",
    "blanket",
    "stool",
    "umbrella",
)
_NAMES = ("Orrin", "Maple", "Quill", "Tarn", "Bramble", "Sable")
_TOWNS = ("Elmsford", "Grauwick", "Petrel Bay", "Thornley", "Ostrava Gate", "Low Marsh")
_STUFFS = ("oak and brass", "grey felt", "blue enamel", "tinned copper", "waxed canvas", "birch and rope")
# What is asked, how it is answered, and the same asked in words that share no sentence with it.
_SUBJECTS = (
    (
        "What does the {item} cost at Wendell's?",
        "The {item} costs {price} crowns, and {less} crowns on market days.",
        "How many crowns must I pay for a {item}?",
    ),
    (
        "What is the {item} of Wendell's made of?",
        "The {item} is made of {stuff} by a workshop in {town}.",
        "Which materials did they use for your {item}?",
    ),
    (
        "When does Wendell's deliver the {item}?",
        "We bring the {item} within {days} days, and on {weekday}s only to {town}.",
        "I ordered a {item}. How long until it is at my door?",
    ),
    (
        "How long is the warranty on the {item} of Wendell's?",
        "The {item} is under warranty for {months} months if you keep receipt {letter}-{price}.",
        "My {item} broke. For what time do you repair it for nothing?",
    ),
    (
        "Where in Wendell's do I find the {item}?",
        "You find the {item} on floor {floor}, in aisle {letter}, beside the {other}.",
        "Please lead me to the shelf with the {item}.",
    ),
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


@dataclass(frozen=True)
class Pair:
    """`reworded` asks the same as `question`; its words are in no other question."""

    question: str
    answer: str
    reworded: str


def pairs(seed: int = 0) -> list[Pair]:
    """Three hundred, the same ones in every run."""
    chance = random.Random(seed)
    found = []
    for (name, kind), (asked, said, reworded) in itertools.product(
        itertools.product(_NAMES, _KINDS), _SUBJECTS
    ):
        price = chance.randrange(20, 990)
        facts = {
            "item": f"{name} {kind}",
            "price": price,
            "less": price - chance.randrange(3, 17),
            "stuff": chance.choice(_STUFFS),
            "town": chance.choice(_TOWNS),
            "days": chance.randrange(2, 30),
            "weekday": chance.choice(_WEEKDAYS),
            "months": chance.randrange(3, 90),
            "letter": chance.choice("ABCDEFGHKLM"),
            "floor": chance.randrange(1, 9),
            "other": chance.choice(_KINDS) + "s",
        }
        found.append(Pair(asked.format(**facts), said.format(**facts), reworded.format(**facts)))
    return found
