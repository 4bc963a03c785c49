"""How people really type: openers, politeness, missing marks and capitals, stray sentences, dropped words."""

import re
from random import Random

from foal.grammar import CLOSERS, OPENERS, TAILS
from foal.names import GIVEN, ORDINARY
from foal.world import listed

# Only words without which the question still says what is asked.
_DROPPABLE = frozenset(
    listed("""
the, is, a, an, of, what, which, me, you, do, can, tell, please, it, i, to, know, are, does, would, could,
say, and
""")
)
_INSERTS = listed("""
really, actually, just, again, maybe, exactly, then, now, usually, simply, correct, right, here, today,
quickly
""")


def dress(template: str, rng: Random, loose: bool = True) -> str:
    """The template with noise; its `{x}` fields stay whole.

    loose: the order of the words carries no meaning, so that they may be shuffled.
    """
    text = template
    if rng.random() < 0.28:
        text = _jumbled(text, rng, loose)
    body, mark = (text[:-1], text[-1]) if text[-1] in ".?!" else (text, "")
    if rng.random() < 0.12:
        body += rng.choice(CLOSERS)
    draw = rng.random()
    if draw < 0.2:
        mark = ""
    elif draw < 0.25:
        mark = rng.choice(("??", "!", "?!", "...", " ?", ".", "?", ":", "!!"))
    text = body + mark
    if rng.random() < 0.35:
        text = _opened(text, rng)
    if rng.random() < 0.1:
        text = f"{_aside(rng)} {text}"
    if mark and rng.random() < 0.08:
        text += rng.choice(TAILS) if rng.random() < 0.6 else f" {_aside(rng)}"
    return text


def worn(text: str, rng: Random) -> str:
    """The filled-in text in careless case and spacing."""
    draw = rng.random()
    if draw < 0.16:
        text = text.lower()
    elif draw < 0.18:
        text = text.upper()
    elif draw < 0.22:
        text = text[:1].lower() + text[1:]
    if rng.random() < 0.06:
        text = text.replace("'", rng.choice(("", "’")))
    if rng.random() < 0.04:
        text = (
            rng.choice((" ", "\n", ""))
            + text.replace(" ", rng.choice(("  ", " ")), 1)
            + rng.choice((" ", "\n"))
        )
    return american(text) if rng.random() < 0.4 else text


def american(text: str) -> str:
    return re.sub(r"([Cc])olour", r"\1olor", text.replace("avourite", "avorite").replace(" grey", " gray"))


def _opened(text: str, rng: Random) -> str:
    opener = rng.choice(OPENERS)
    keeps_capital = text.startswith(("I ", "I'", "{")) or opener.rstrip()[-1] in ".!?" or rng.random() < 0.3
    return opener + (text if keeps_capital else text[:1].lower() + text[1:])


def _jumbled(text: str, rng: Random, loose: bool) -> str:
    words = text.split(" ")
    draw = rng.random()
    if draw < 0.3:
        droppable = [index for index, word in enumerate(words) if word.lower() in _DROPPABLE]
        for index in sorted(
            rng.sample(droppable, min(len(droppable), rng.choice((1, 1, 2, 3)))), reverse=True
        ):
            del words[index]
    elif draw < 0.75 or not loose:
        for _ in range(rng.choice((1, 1, 2, 3))):
            words.insert(rng.randint(0, len(words)), rng.choice(_INSERTS if rng.random() < 0.4 else ORDINARY))
    elif draw < 0.9:
        first = rng.randrange(len(words))
        words[first], words[first - 1] = words[first - 1], words[first]
    else:
        rng.shuffle(words)
    return " ".join(words) or text


def _aside(rng: Random) -> str:
    """A sentence about nothing, to be looked past."""
    one, two, three = (rng.choice(ORDINARY) for _ in range(3))
    shape = rng.randrange(13)
    return (
        f"I am at the {one} with my {two}.",
        f"My {one} wants to know this.",
        f"I need it for a {one}.",
        f"We talked about the {one} and the {two}.",
        f"This is for my {one}.",
        f"I have to {one} and {two} the {three}.",
        f"{rng.choice(GIVEN)} asked me this.",
        f"The {one} is on the {two}.",
        f"I like to {one} near the {two}.",
        f"The {one} asks for it.",
        f"It says so in my {one}.",
        f"My {one} is about this.",
        f"Someone in the {one} wants the {two}.",
    )[shape]
