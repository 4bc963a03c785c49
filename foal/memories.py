"""What a user may tell about themselves, how they ask for it later, and what the model then says."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from foal import names
from foal.world import CAPITALS

Draw = Callable[[Random], str]


@dataclass(frozen=True)
class Memory:
    """One kind of fact; `{k}` in templates is the variable part of the kind, such as `brother`."""

    tell: tuple[str, ...]
    ask: tuple[str, ...]
    answer: str
    unknown: str
    value: Draw
    key: Draw = lambda rng: ""
    weight: float = 1.0
    ack: str = ""

    def acknowledgement(self) -> str:
        return self.ack or f"I will remember: {self.answer[0].lower()}{self.answer[1:]}"


def _any_of(options: list[str]) -> Draw:
    return lambda rng: rng.choice(options) if rng.random() < 0.7 else names.invented(rng).lower()


def _animal(rng: Random) -> str:
    word = rng.choice(names.ANIMALS) if rng.random() < 0.75 else names.invented(rng).lower()
    return rng.choice(("the {}", "the {}", "{}s", "a {}")).format(word)


def _place(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.35:
        return rng.choice(names.CITIES)
    return rng.choice(list(CAPITALS.values())).removesuffix(".") if draw < 0.6 else names.invented(rng)


def _country(rng: Random) -> str:
    return rng.choice(list(CAPITALS)) if rng.random() < 0.8 else names.invented(rng)


def _favourite(what: str, value: Draw) -> Memory:
    return Memory(
        tell=(
            f"My favourite {what} is {{x}}.",
            f"My favourite {what} is {{x}}.",
            f"{{x}} is my favourite {what}.",
            f"The {what} I [like|love] [most|best|the most] is {{x}}.",
            f"I [like|love] {{x}} [most|best] of all {what}s.",
            f"My best {what} is {{x}}.",
            f"I think {{x}} is the [best|nicest|greatest] {what}.",
            f"If you ask for my favourite {what}: {{x}}.",
            f"Of all {what}s I [like|love|prefer] {{x}}.",
            f"{{x}}, that is my favourite {what}.",
            f"As for {what}s, I [like|love] {{x}} [best|most].",
            f"For me the best {what} is {{x}}.",
            f"There is no better {what} than {{x}}.",
            f"My {what} is {{x}}.",
            f"Nothing is better than {{x}}, as a {what}.",
            f"I would always choose {{x}} as my {what}.",
        ),
        ask=(
            f"What is my favourite {what}?",
            f"What's my favourite {what}?",
            f"Which {what} [is my favourite|do I like most]?",
            f"[What|Which] {what} do I [like|love|prefer] [most|best|the most]?",
            f"<ask> my favourite {what}.",
            f"<lead> what my favourite {what} is.",
            f"<lead> which {what} I [like|love] [most|best].",
            f"What did I say my favourite {what} [is|was]?",
            f"[And |]my favourite {what}[| is| was| is what]?",
            f"[What|Which] was my favourite {what}?",
            f"Which {what} do I [like|love]?",
            f"What {what} do I like?",
            f"Which {what} did I [name|mention|choose|call my favourite]?",
            f"What {what} did I tell you about?",
            f"What is the {what} that I [love|like]?",
            f"Have you kept my favourite {what} in mind?",
        ),
        answer=f"Your favourite {what} is {{x}}.",
        unknown=f"You have not told me your favourite {what}.",
        value=value,
    )


_NAMED_TELL = (
    "My {k}'s name is {x}.",
    "My {k} is called {x}.",
    "My {k} is named {x}.",
    "I have a {k} named {x}.",
    "I have a {k} called {x}.",
    "The name of my {k} is {x}.",
    "I have a {k}, {x}.",
    "{x} is my {k}.",
    "{x} is the name of my {k}.",
    "My {k} is {x}.",
    "I call my {k} {x}.",
    "We call our {k} {x}.",
    "This is my {k} {x}.",
    "Our {k} is [called|named] {x}.",
    "I [own|got|know] a {k} whose name is {x}.",
    "My {k} answers to {x}.",
    "We have a {k} [and it is called|known as|and the name is] {x}.",
    "I live with a {k} and its name is {x}.",
    "There is a {k} in my house with the name {x}.",
    "The {k} in our house is {x}.",
    "My [dear|old|little] {k} is {x}.",
)
_NAMED_ASK = (
    "What is my {k}'s name?",
    "What's my {k}'s name?",
    "What is the name of my {k}?",
    "What is my {k} called?",
    "<ask> my {k}'s name.",
    "<ask> the name of my {k}.",
    "<lead> what my {k} is called.",
    "<lead> what my {k}'s name is.",
    "How is my {k} called?",
    "Who is my {k}?",
    "What did I call my {k}?",
    "What name does my {k} have?",
    "My {k}'s name?",
    "What did I say my {k}'s name was?",
    "Which name did [I give|we give] my {k}?",
    "My {k} is called what?",
    "What do I call my {k}?",
    "Do you know what my {k} is called?",
    "And what is our {k}'s name?",
    "How do I call my {k}?",
    "Has my {k} a name? [Which|What is it]?",
    "Which is the name of my {k}?",
    "What is our {k} named?",
)
_KEYED_ASK = (
    "What is my {k}?",
    "What's my {k}?",
    "<ask> my {k}.",
    "<lead> what my {k} is.",
    "And my {k}?",
    "What did I say my {k} [is|was]?",
    "My {k} is?",
    "Which is my {k}?",
    "What was my {k}?",
    "What did I tell you about my {k}?",
)
_SECRET_ASK = (
    "What is the {k}?",
    "What's the {k}?",
    "<ask> the {k}.",
    "<lead> what the {k} is.",
    "And the {k}?",
    "What did I say the {k} [is|was]?",
    "The {k} is?",
    "Which {k} did I [say|tell you|give you]?",
    "What was the {k}?",
)

MEMORIES: dict[str, Memory] = {
    "name": Memory(
        tell=(
            "My name is {x}.",
            "My name is {x}.",
            "My name is {x}.",
            "My name's {x}.",
            "I am {x}.",
            "I'm {x}.",
            "Call me {x}.",
            "[You can|You may|Please|Just] call me {x}.",
            "[They|People|My friends|All] call me {x}.",
            "I am called {x}.",
            "I'm called {x}.",
            "The name is {x}.",
            "The name's {x}.",
            "I go by {x}.",
            "This is {x}.",
            "{x} here.",
            "{x} is my name.",
            "I am named {x}.",
            "My parents named me {x}.",
            "It is me, {x}.",
            "It's me, {x}.",
            "You are talking to {x}.",
            "You are speaking with {x}.",
            "Everyone knows me as {x}.",
            "I was named {x}.",
            "Let me introduce myself: {x}.",
            "Let me introduce myself. I am {x}.",
            "Remember my name: {x}.",
            "Remember that my name is {x}.",
            "Note that my name is {x}.",
            "Keep in mind that I am {x}.",
            "Name: {x}.",
            "At home [they|people] know me as {x}.",
            "My first name is {x}.",
            "{x} speaking.",
            "Here is {x} again.",
            "I answer to {x}.",
            "I'd like you to know that my name is {x}.",
        ),
        ask=(
            "What is my name?",
            "What's my name?",
            "What is my name?",
            "Who am I?",
            "<ask> my name.",
            "What am I called?",
            "<lead> what my name is.",
            "<lead> who I am.",
            "What did I say my name [is|was]?",
            "How am I called?",
            "And my name?",
            "My name is?",
            "My name?",
            "Say my name.",
            "Do you remember my name?",
            "Do you know my name?",
            "Do you still know [my name|who I am]?",
            "Do you remember who I am?",
            "What do [people|they] call me?",
            "Have I told you my name?",
            "Can you remember my name?",
            "Which name do I have?",
            "What was my name?",
            "What name did I tell you?",
            "How do [people|my friends] call me?",
            "Who are you talking to?",
            "With whom do you speak?",
            "Greet me by name.",
            "Which name is mine?",
            "What name do I go by?",
            "Call me by my name.",
            "What can you call me?",
            "How should you address me?",
            "Under which name do you know me?",
            "By what name do I go?",
        ),
        answer="Your name is {x}.",
        unknown="You have not told me your name.",
        value=names.person,
        weight=4.0,
        ack="Nice to meet you, {x}.",
    ),
    "city": Memory(
        tell=(
            "I live in {x}.",
            "I live in {x}.",
            "I'm living in {x}.",
            "My home is in {x}.",
            "My home is {x}.",
            "I stay in {x}.",
            "My flat is in {x}.",
            "I have a house in {x}.",
            "I have lived in {x} for years.",
            "The city I live in is {x}.",
            "We live in {x}.",
            "{x} is the city I live in.",
            "{x} is where I live.",
            "I am at home in {x}.",
            "My family lives in {x}.",
            "My city is {x}.",
            "I settled in {x}.",
            "I reside in {x}.",
            "My place is in {x}.",
            "I moved to {x}.",
        ),
        ask=(
            "Where do I live?",
            "Where do I live?",
            "[What|Which] city do I live in?",
            "In [what|which] city do I live?",
            "<ask> the city I live in.",
            "<lead> where I live.",
            "<lead> which city I live in.",
            "Where is my home?",
            "And where do I live?",
            "Where did I say I live?",
            "Where am I living?",
            "Where is my house?",
            "What is my city?",
            "Where do I stay?",
            "Which city is my home?",
            "What place do I live in?",
            "Where am I at home?",
            "[What|Which] is my home city?",
        ),
        answer="You live in {x}.",
        unknown="You have not told me where you live.",
        value=_place,
        weight=1.5,
    ),
    "origin": Memory(
        tell=(
            "I come from {x}.",
            "I am from {x}.",
            "I'm from {x}.",
            "I was born in {x}.",
            "My country is {x}.",
        ),
        ask=(
            "Where am I from?",
            "Where do I come from?",
            "<lead> where I [am|come] from.",
            "Where was I born?",
            "[What|Which] country am I from?",
            "Which is my country?",
        ),
        answer="You come from {x}.",
        unknown="You have not told me where you come from.",
        value=_country,
    ),
    "colour": _favourite("colour", _any_of(names.COLOURS)),
    "animal": _favourite("animal", _animal),
    "food": _favourite("food", _any_of(names.FOODS)),
    "age": Memory(
        tell=(
            "I am {x} years old.",
            "I'm {x} years old.",
            "My age is {x}.",
            "I am {x}.",
            "I'm {x}.",
            "I just turned {x}.",
            "I am {x} years of age.",
            "I have been alive for {x} years.",
            "I celebrated my birthday, I am {x} now.",
            "Age: {x}.",
            "I became {x} [today|last week|in May].",
            "I will stay {x} until my birthday.",
            "It is {x} years since I was born.",
        ),
        ask=(
            "How old am I?",
            "How old am I?",
            "What is my age?",
            "What's my age?",
            "<ask> my age.",
            "<lead> how old I am.",
            "How old did I say I am?",
            "How many years old am I?",
            "And my age?",
            "What age am I?",
            "Do you know my age?",
            "What age did I tell you?",
            "How many years have I lived?",
            "Which age do I have?",
        ),
        answer="You are {x} years old.",
        unknown="You have not told me your age.",
        value=lambda rng: str(rng.randint(3, 99)),
    ),
    "job": Memory(
        tell=(
            "I work as a {x}.",
            "I am a {x}.",
            "I'm a {x}.",
            "My job is {x}.",
            "I am a {x} by trade.",
            "I earn my money as a {x}.",
        ),
        ask=(
            "What is my job?",
            "What's my job?",
            "What do I do for work?",
            "What do I work as?",
            "<ask> my job.",
            "<lead> what my job is.",
            "What do I do for a living?",
            "Which job do I have?",
        ),
        answer="You work as a {x}.",
        unknown="You have not told me your job.",
        value=_any_of(names.JOBS),
    ),
    "dog": Memory(
        _NAMED_TELL,
        _NAMED_ASK,
        "Your {k}'s name is {x}.",
        "You have not told me your {k}'s name.",
        names.person,
        lambda rng: "dog",
        1.3,
    ),
    "cat": Memory(
        _NAMED_TELL,
        _NAMED_ASK,
        "Your {k}'s name is {x}.",
        "You have not told me your {k}'s name.",
        names.person,
        lambda rng: "cat",
        1.3,
    ),
    "pet": Memory(
        _NAMED_TELL,
        _NAMED_ASK,
        "Your {k}'s name is {x}.",
        "You have not told me your {k}'s name.",
        names.person,
        lambda rng: rng.choice(names.PETS),
    ),
    "relative": Memory(
        _NAMED_TELL,
        _NAMED_ASK,
        "Your {k}'s name is {x}.",
        "You have not told me your {k}'s name.",
        names.person,
        lambda rng: rng.choice(names.PEOPLE),
        1.3,
    ),
    "thing": Memory(
        (
            "My {k} is {x}.",
            "My {k} is {x}.",
            "{x} is my {k}.",
            "Remember that my {k} is {x}.",
            "Remember my {k}: {x}.",
        ),
        _KEYED_ASK,
        "Your {k} is {x}.",
        "You have not told me your {k}.",
        names.token,
        lambda rng: rng.choice(names.THINGS),
        2.0,
    ),
    "secret": Memory(
        (
            "The {k} is {x}.",
            "The {k} is {x}.",
            "Remember this: the {k} is {x}.",
            "Remember that the {k} is {x}.",
            "{x} is the {k}.",
            "Please remember the {k} {x}.",
            "Note: the {k} is {x}.",
            "Keep in mind that the {k} is {x}.",
        ),
        _SECRET_ASK,
        "The {k} is {x}.",
        "You have not told me the {k}.",
        names.token,
        lambda rng: rng.choice(names.SECRETS) if rng.random() < 0.7 else rng.choice(names.ORDINARY),
        2.0,
    ),
}
