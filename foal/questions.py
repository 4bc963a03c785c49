"""One question with its answer, from any category of the world."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from foal import arithmetic, names, phrasings, smalltalk, world
from foal.grammar import pick
from foal.noise import dress, worn
from foal.soup import soup


class Exchange(NamedTuple):
    question: str
    answer: str
    weight: float = 1.0  # of the answer's tokens in the loss


def _ask(templates: tuple[str, ...], fields: dict[str, str], rng: Random, loose: bool = True) -> str:
    text = dress(pick(rng.choice(templates), rng), rng, loose)
    for field, value in fields.items():
        text = text.replace(f"{{{field}}}", value)
    return worn(world.upper_first(text) if rng.random() < 0.7 else text, rng)


def _phrased(category: str, rng: Random) -> tuple[str, ...]:
    if rng.random() < 0.25:
        return (soup(category, rng),)
    arithmetical = {"sums": arithmetic.SUMS, "differences": arithmetic.DIFFERENCES}
    return arithmetical.get(category) or phrasings.FACTS[category]


def capital(rng: Random) -> Exchange:
    if rng.random() < 0.06:
        alias = rng.choice(list(world.COUNTRY_ALIASES))
        said, country = alias, world.COUNTRY_ALIASES[alias]
    else:
        said = country = rng.choice(list(world.CAPITALS))
    if rng.random() < 0.2:
        said = world.bare(said)
    return Exchange(_ask(_phrased("capitals", rng), {"x": said}, rng), world.capital_answer(country))


def country(rng: Random) -> Exchange:
    name, seat = rng.choice(list(world.CAPITALS.items()))
    seat = seat.removesuffix(".")
    return Exchange(_ask(phrasings.FACTS["reverse"], {"x": seat}, rng), f"{seat} is the capital of {name}.")


def opposite(rng: Random) -> Exchange:
    word = rng.choice(list(world.OPPOSITES))
    said = rng.choice(("{}", "{}", "{}", '"{}"', "'{}'")).format(word)
    return Exchange(_ask(_phrased("opposites", rng), {"x": said}, rng), world.opposite_answer(word))


def colour(rng: Random) -> Exchange:
    thing = rng.choice(list(world.COLOURS))
    many = world.plural(thing)
    if many and rng.random() < 0.2:
        question = _ask(
            (
                "What colour are {x}?",
                "What colour do {x} have?",
                "Which colour are {x}?",
                "The colour of {x}?",
                "<lead> what colour {x} are.",
                "<ask> the colour of {x}.",
                "{x} are [what|which] colour?",
            ),
            {"x": many},
            rng,
        )
        return Exchange(question, f"{world.upper_first(many)} are {world.COLOURS[thing]}.")
    return Exchange(
        _ask(_phrased("colours", rng), {"x": _varied(thing, rng)}, rng), world.colour_answer(thing)
    )


def sound(rng: Random) -> Exchange:
    animal = rng.choice(list(world.SOUNDS))
    many = world.plural(animal)
    if many and rng.random() < 0.12:
        question = _ask(
            ("What do {x} say?", "What sound do {x} make?", "What noise do {x} make?", "How do {x} sound?"),
            {"x": many},
            rng,
        )
    else:
        question = _ask(_phrased("animals", rng), {"x": _varied(animal, rng)}, rng)
    return Exchange(question, world.sound_answer(animal))


def _varied(thing: str, rng: Random) -> str:
    draw = rng.random()
    if draw < 0.8 or not thing.startswith(("a ", "an ", "the ")):
        return thing
    return world.bare(thing) if draw < 0.9 else f"the {world.bare(thing)}"


def day(rng: Random) -> Exchange:
    step = rng.choice((1, 1, -1))
    templates: tuple[str, ...] = phrasings.AFTER if step > 0 else phrasings.BEFORE
    if rng.random() < 0.35:
        templates = phrasings.DAY_AFTER if step > 0 else phrasings.DAY_BEFORE
    return _neighbour(world.DAYS, "day", templates, step, rng)


def month(rng: Random) -> Exchange:
    step = rng.choice((1, 1, -1))
    return _neighbour(world.MONTHS, "month", phrasings.AFTER if step > 0 else phrasings.BEFORE, step, rng)


def _neighbour(
    order: tuple[str, ...], unit: str, templates: tuple[str, ...], step: int, rng: Random
) -> Exchange:
    name = rng.choice(order)
    chosen = tuple(template.replace("{unit}", unit) for template in (rng.choice(templates),))
    return Exchange(_ask(chosen, {"x": name}, rng, loose=False), world.neighbour_answer(order, name, step))


def addition(rng: Random) -> Exchange:
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    question = _ask(_phrased("sums", rng), _operands(a, b, rng), rng, loose=False)
    return Exchange(question, world.sum_answer(a, b))


def subtraction(rng: Random) -> Exchange:
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    if a < b and rng.random() < 0.6:
        a, b = b, a
    question = _ask(_phrased("differences", rng), _operands(a, b, rng), rng, loose=False)
    return Exchange(question, world.difference_answer(a, b))


def _operands(a: int, b: int, rng: Random) -> dict[str, str]:
    words = rng.random() < 0.25
    return {"a": world.NUMBERS[a] if words else str(a), "b": world.NUMBERS[b] if words else str(b)}


def too_hard(rng: Random) -> Exchange:
    low = 21 if rng.random() < 0.8 else 0
    familiar = rng.choice((arithmetic.TOO_HARD, arithmetic.SUMS, arithmetic.DIFFERENCES))
    template = rng.choice(familiar) if low else "What is {a} [times|*|divided by|multiplied by] {b}?"
    fields = {"a": str(rng.randint(low, 999 if low else 20)), "b": str(rng.randint(low, 99 if low else 20))}
    return Exchange(_ask((template,), fields, rng, loose=False), arithmetic.TOO_HARD_ANSWER)


def miscellany(rng: Random) -> Exchange:
    answer, templates = rng.choice(world.MISCELLANY)
    return Exchange(_ask(templates, {}, rng, loose=False), answer)


def unknown(rng: Random) -> Exchange:
    """A familiar phrasing about something that is not in the world: the thing is the cue."""
    category = rng.choice(("capitals", "capitals", "opposites", "colours", "animals"))
    word = names.invented(rng)
    thing = {"capitals": word, "opposites": word.lower()}.get(category, f"a {word.lower()}")
    if category in ("colours", "animals") and rng.random() < 0.3:
        thing = (
            f"a {rng.choice(names.ORDINARY[40:60])}"
            if category == "animals"
            else f"a {rng.choice(('car', 'house', 'table', 'shirt', 'book', 'door'))}"
        )
    return Exchange(_ask(_phrased(category, rng), {"x": thing}, rng), smalltalk.DO_NOT_KNOW)


def beyond(rng: Random) -> Exchange:
    return Exchange(worn(dress(smalltalk.beyond(rng), rng, loose=False), rng), smalltalk.DO_NOT_KNOW)


def talk(rng: Random) -> Exchange:
    answer, templates = rng.choice(smalltalk.TALK)
    text = pick(rng.choice(templates), rng)
    if text[-1] in ".?!" and rng.random() < 0.3:
        text = text[:-1] + rng.choice(("", "", "!", ".", "?", "!!"))
    return Exchange(worn(text, rng), answer)


def story(rng: Random) -> Exchange:
    if rng.random() < 0.5:
        return Exchange(_ask(smalltalk.STORY_ASKS, {}, rng, loose=False), smalltalk.story(rng), 0.3)
    about = smalltalk.topic(rng)
    return Exchange(
        _ask(smalltalk.ABOUT_ASKS, {"x": about}, rng, loose=False), smalltalk.story(rng, about), 0.3
    )


def echo(rng: Random) -> Exchange:
    words = [
        rng.choice((names.token, names.person, lambda r: r.choice(names.ORDINARY)))(rng)
        for _ in range(rng.randint(1, 7))
    ]
    text = " ".join(words)
    frame = rng.choice(
        (
            "Repeat after me: {}",
            "Repeat: {}",
            "Echo: {}",
            "Copy this: {}",
            'Say "{}"',
            "Repeat this: {}",
            "Please repeat: {}",
            "Say this: {}",
            "Write this: {}",
            "Repeat the words: {}",
            "Can you repeat this: {}",
            "Repeat after me. {}",
        )
    )
    return Exchange(frame.format(text), text)


def remark(rng: Random) -> Exchange:
    return Exchange(worn(smalltalk.remark(rng), rng), "That is good to hear.")


def garbage(rng: Random) -> Exchange:
    text = smalltalk.garbage(rng) if rng.random() < 0.9 else rng.choice(("", " ", "?", ".", "...", "\n"))
    return Exchange(text, smalltalk.NOT_UNDERSTOOD)


CATEGORIES: dict[str, tuple[Callable[[Random], Exchange], float]] = {
    "capitals": (capital, 17),
    "reverse": (country, 1.5),
    "opposites": (opposite, 12),
    "colours": (colour, 6),
    "animals": (sound, 6),
    "days": (day, 5),
    "months": (month, 5),
    "sums": (addition, 22),
    "differences": (subtraction, 22),
    "miscellany": (miscellany, 1),
    "talk": (talk, 5),
    "story": (story, 2.5),
    "echo": (echo, 6),
    "unknown": (unknown, 3),
    "beyond": (beyond, 3),
    "too_hard": (too_hard, 2),
    "remark": (remark, 0.7),
    "garbage": (garbage, 1),
}
_NAMES = list(CATEGORIES)
_WEIGHTS = [weight for _, weight in CATEGORIES.values()]


def exchange(rng: Random) -> Exchange:
    return CATEGORIES[rng.choices(_NAMES, _WEIGHTS)[0]][0](rng)
