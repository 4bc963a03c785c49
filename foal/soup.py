"""Loose words around the few that matter, so that an unheard phrasing is answered by what it names."""

from random import Random

from foal.names import ORDINARY, invented
from foal.world import CAPITALS, OPPOSITES, listed

_SMALL = listed("""
the, is, a, of, what, which, me, you, do, can, tell, it, i, to, for, my, we, this, that, in, on, at, if,
when, how, should, would, says, asks, wants, needs, gives, shows, have, has, with, there, here, and, one,
some, our, your, his, her, please, just, be, will, must, name, word, think, call, called, get, answer, say,
write, find, know
""")
# Forms that are never asked for themselves, however much they look like a word that is.
_INFLECTED = listed("""
something, someone, everyone, anything, becomes, became, being, stops, stopped, stopping, starts, started,
comes, coming, goes, going, gives, given, takes, taken, finds, found, loses, ends, ended, turns, turned,
opens, opened, closes, buys, sells, asked, answered, remembers, forgets, winning, losing, loved, hated, lasts,
follows, followed, called, counted, kept, leaves, introduced, beats, wins
""")
_PLAIN = [word for word in ORDINARY if word not in OPPOSITES and word not in CAPITALS]
_KEYS = {
    "capitals": ("capital", "capital", "capital city", "the capital of"),
    "opposites": (
        "opposite",
        "opposite",
        "the opposite of",
        "antonym",
        "contrary",
        "reverse",
        "is the opposite of",
    ),
    "colours": ("colour", "colour", "the colour of"),
    "animals": ("sound", "noise", "say", "says", "hear", "mimic", "act like"),
    "sums": (
        "{a} + {b}",
        "{a}+{b}",
        "{a} plus {b}",
        "{a} + {b}",
        "{a} and {b} more",
        "sum {a} {b}",
        "{a} and {b} together",
    ),
    "differences": (
        "{a} - {b}",
        "{a}-{b}",
        "{a} minus {b}",
        "{a} - {b}",
        "difference {a} {b}",
        "{a} without {b}",
    ),
}


def soup(category: str, rng: Random) -> str:
    """A template of a category: its key, the fields, and any words."""
    key = rng.choice(_KEYS[category])
    parts = [key] if "{a}" in key else [key, "{x}"]
    if len(parts) == 2 and not key.endswith(" of") and rng.random() < 0.4:
        parts.reverse()
    words = _words(rng, 0, 4)
    for part in parts:
        words += [part, *_words(rng, 0, 3)]
    if rng.random() < 0.4:
        words[-1] += rng.choice((".", ":", ",", ";"))
        words += _words(rng, 1, 5)
    return " ".join(words) + rng.choice(("?", "?", ".", ""))


def telling(what: str, rng: Random) -> str:
    """A statement that names a kind of favourite and then the value."""
    words = [*_words(rng, 0, 4), what, *_words(rng, 1, 6), "{x}"]
    if rng.random() < 0.4:
        words.append(
            rng.choice(("for me", "of all", "by far", "always", "to me", "in my life", "in the world"))
        )
    return " ".join(words) + "."


def _words(rng: Random, least: int, most: int) -> list[str]:
    return [_word(rng) for _ in range(rng.randint(least, most))]


def _word(rng: Random) -> str:
    if rng.random() < 0.6:
        return rng.choice(_SMALL)
    if rng.random() < 0.4:
        return rng.choice(_INFLECTED)
    if rng.random() < 0.8:
        return rng.choice(_PLAIN)
    return invented(rng).lower()
