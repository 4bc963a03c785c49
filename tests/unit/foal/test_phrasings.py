import re
from collections.abc import Iterator
from functools import cache

from foal import arithmetic, kept_out, phrasings, smalltalk
from foal.grammar import CLOSERS, OPENERS, TAILS, expand
from foal.memories import MEMORIES


def normal(text: str) -> str:
    """Without case, punctuation, and the openers and closers that any phrasing may wear."""
    text = _bare(text)
    stripped = True
    while stripped:
        stripped = False
        for opener in _OPENERS:
            if text.startswith(opener + " "):
                text, stripped = text[len(opener) + 1 :], True
        for closer in _CLOSERS:
            if text.endswith(" " + closer):
                text, stripped = text[: -len(closer) - 1], True
    return text


def _bare(text: str) -> str:
    return " ".join(
        re.sub(r"[^a-z{}+\- ]", " ", text.lower().replace("color", "colour").replace("'", "")).split()
    )


_OPENERS = {_bare(opener) for opener in OPENERS}
_CLOSERS = {_bare(closer) for closer in (*CLOSERS, *TAILS)}


@cache
def kept() -> frozenset[str]:
    templates = [one for group in kept_out.FACTS.values() for one in group]
    templates += [*kept_out.SUMS, *kept_out.DIFFERENCES]
    templates += [one for tellings, questions in kept_out.RECALL.values() for one in (*tellings, *questions)]
    return frozenset(normal(template) for template in templates)


def training() -> Iterator[str]:
    for group in phrasings.FACTS.values():
        yield from group
    for template in (*phrasings.AFTER, *phrasings.BEFORE):
        yield template.replace("{unit}", "day")
        yield template.replace("{unit}", "month")
    yield from (*phrasings.DAY_AFTER, *phrasings.DAY_BEFORE)
    yield from (*arithmetic.SUMS, *arithmetic.DIFFERENCES, *arithmetic.TOO_HARD)
    for memory in MEMORIES.values():
        for template in (*memory.tell, *memory.ask):
            yield template.replace("{k}", "dog")
            yield template.replace("{k}", "cat")
    yield from (*smalltalk.STORY_ASKS, *smalltalk.ABOUT_ASKS)


class TestKeptOutPhrasings:
    def test_none_is_in_a_training_template(self) -> None:
        joined = "\n".join(f" {_bare(phrasing)} " for template in training() for phrasing in expand(template))
        assert [template for template in sorted(kept()) if f" {template} " in joined] == []

    def test_none_equals_a_training_template_without_its_opener(self) -> None:
        trained = {normal(next(expand(template))) for template in training()}
        trained |= {_bare(phrasing) for template in training() for phrasing in expand(template)}
        assert trained & kept() == set()

    def test_there_are_eight_or_more_of_each_fact(self) -> None:
        assert all(len(group) >= 8 for group in kept_out.FACTS.values())
        assert min(len(kept_out.SUMS), len(kept_out.DIFFERENCES)) >= 8


class TestTrainingPhrasings:
    def test_are_many(self) -> None:
        for group in (*phrasings.FACTS.values(), arithmetic.SUMS, arithmetic.DIFFERENCES):
            count = sum(1 for template in group for _ in expand(template))
            assert count >= 15, group[0]
        assert sum(1 for template in phrasings.FACTS["capitals"] for _ in expand(template)) >= 150

    def test_have_no_brackets_left(self) -> None:
        for template in training():
            assert not set("[]<>") & set(next(expand(template)))
