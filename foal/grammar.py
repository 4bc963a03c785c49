"""Templates with alternatives: `[What is|What's] the capital of {x}?` stands for two phrasings.

`<name>` is replaced by a list of alternatives from `MACROS`; alternatives do not nest.
"""

import re
from collections.abc import Iterator
from itertools import product
from random import Random

MACROS = {
    # Stand before a noun phrase: `<ask> the capital of {x}`.
    "ask": "What is|What's|Tell me|Can you tell me|Could you tell me|Please tell me|Do you know|"
    "I want to know|"
    "I'd like to know|Give me|Say|Remind me of|Let me know|I am looking for|I'm looking for|I forgot|"
    "Would you tell me|Please give me|I'd love to know|Find|State|I need to know|Show me|"
    "Can you give me|Name|Do you remember|Can you say|Can you name|Could you name|I am asking for|"
    "Just tell me|Would you know",
    # Stand before a clause: `<lead> what the capital of {x} is`.
    "lead": "Tell me|Can you tell me|Could you tell me|Do you know|I want to know|I'd like to know|I wonder|"
    "Any idea|Let me know|Please tell me|I forgot|I don't remember|I don't know|Would you tell me|"
    "Please say|Can you say|Remind me|Explain|I am not sure|Do you remember|Guess|I need to know|"
    "Tell us|We want to know|Help me remember|I was wondering|Would you know|Maybe you know|"
    "You surely know|I am trying to learn|Teach me",
}
OPENERS = (
    "Hey, ",
    "Hi, ",
    "Hi! ",
    "Hello, ",
    "Hello! ",
    "Please, ",
    "Please ",
    "Quick question: ",
    "Question: ",
    "OK, ",
    "Okay. ",
    "So, ",
    "So ",
    "And ",
    "And now: ",
    "Now, ",
    "Next: ",
    "Next question: ",
    "I forgot: ",
    "Tell me: ",
    "Tell me, ",
    "Well, ",
    "Foal, ",
    "Hey Foal, ",
    "Dear Foal, ",
    "One more: ",
    "One more thing: ",
    "Another one: ",
    "Just curious: ",
    "Sorry, ",
    "Excuse me, ",
    "Good. ",
    "Great! ",
    "Thanks. ",
    "Can you help me? ",
    "Help me: ",
    "I have a question. ",
    "I have a question: ",
    "Here is a question: ",
    "Answer this: ",
    "Please answer: ",
    "Let's play. ",
    "Quiz: ",
    "Quiz time! ",
    "Easy one: ",
    "For a quiz: ",
    "Alright, ",
    "But ",
    "Um, ",
    "Hmm, ",
    "Do me a favour: ",
    "Be quick: ",
    "Listen: ",
    "Good morning. ",
    "Good evening! ",
    "I'm curious: ",
    "Let me ask: ",
    "Last one: ",
    "First, ",
    "Also, ",
    "Then ",
    "Oh, ",
    "My friend, ",
    "Dear friend, ",
    "Interesting. ",
    "Right. ",
)
CLOSERS = (
    ", please",
    " please",
    ", thanks",
    ", thank you",
    " again",
    ", Foal",
    ", my friend",
    " exactly",
    ", do you know",
    ", any idea",
    " then",
    " now",
    ", if you know",
    ", by the way",
    ", I forgot",
    ", actually",
    " really",
)
TAILS = (
    " Thanks!",
    " Thank you.",
    " Please answer.",
    " Thanks in advance.",
    " I forgot.",
    " Be brief.",
    " Tell me.",
    " I need to know.",
    " I really want to know.",
    " Please help.",
    " Do you know?",
    " Any idea?",
    " Just curious.",
    " What do I say?",
    " What is the answer?",
    " What shall I tell them?",
    " How do I answer?",
)

_CHOICE = re.compile(r"\[([^\]]*)\]")
_MACRO = re.compile(r"<(\w+)>")


def _unfold(template: str) -> str:
    return _MACRO.sub(lambda match: f"[{MACROS[match[1]]}]", template)


def pick(template: str, rng: Random) -> str:
    """One phrasing of the template."""
    return _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), _unfold(template))


def expand(template: str) -> Iterator[str]:
    """Every phrasing of the template."""
    parts = _CHOICE.split(_unfold(template))
    choices = [part.split("|") if index % 2 else [part] for index, part in enumerate(parts)]
    return ("".join(chosen) for chosen in product(*choices))
