"""Greetings, questions about the model itself, stories, and what the model does not know."""

from random import Random

from foal import names
from foal.grammar import pick
from foal.world import CAPITALS, COLOURS, bare

DO_NOT_KNOW = "I am a small model and I do not know that."
NOT_UNDERSTOOD = "I did not understand that."
WHO = "I am Foal, a very small language model that lives in Paddock."
ABILITIES = (
    "I know capitals, opposites, colours, days, months and animal sounds. I can add and subtract up to 20, "
    "remember what you tell me, and tell a short story."
)
TALK: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Hello! How can I help you?",
        (
            "Hello",
            "Hello!",
            "Hello!",
            "Hi",
            "Hi!",
            "Hi there!",
            "Hello there!",
            "Hey",
            "Hey!",
            "Hey there.",
            "Good morning!",
            "Good afternoon.",
            "Good evening.",
            "Good day!",
            "Greetings!",
            "Hello Foal!",
            "Hi Foal!",
            "Howdy!",
            "Yo!",
            "Hiya!",
            "Hello, [Foal|friend|you|model|computer]!",
            "Hello again!",
            "Hi again!",
            "Is anybody there?",
            "Are you there?",
            "Hello, world!",
            "Welcome!",
            "Nice to meet you.",
            "Test",
            "test",
            "Testing.",
            "Ping",
            "Start",
            "Hallo!",
            "Good morning, Foal.",
            "What's up?",
            "Sup?",
        ),
    ),
    (
        "I am well, thank you. How can I help you?",
        (
            "How are you?",
            "How are you doing?",
            "How are you today?",
            "How do you do?",
            "How is it going?",
            "How's it going?",
            "How do you feel?",
            "Are you well?",
            "Are you OK?",
            "How have you been?",
            "Hello, how are you?",
            "Hi, how are you?",
        ),
    ),
    (
        WHO,
        (
            "Who are you?",
            "Who are you?",
            "What are you?",
            "What is your name?",
            "What's your name?",
            "<ask> your name.",
            "<lead> who you are.",
            "Introduce yourself.",
            "Please introduce yourself.",
            "Tell me about yourself.",
            "Are you [a human|a robot|a person|human|a model|an AI]?",
            "What model are you?",
            "Which model is this?",
            "What [kind of|sort of] [model|thing] are you?",
            "How are you called?",
            "Do you have a name?",
            "Who am I [talking|speaking] to?",
            "What should I call you?",
            "Are you [ChatGPT|a language model|a chatbot|real|Foal]?",
            "Your name?",
            "Who is this?",
            "What is Foal?",
            "Who is Foal?",
            "Where do you live?",
            "Where are you?",
            "Describe yourself.",
            "How big are you?",
        ),
    ),
    (
        ABILITIES,
        (
            "What can you do?",
            "What do you know?",
            "Help",
            "Help!",
            "Help me.",
            "How can you help me?",
            "What are you good at?",
            "<lead> what you can do.",
            "What can I ask you?",
            "What can I ask?",
            "What are your abilities?",
            "What are you able to do?",
            "Can you help me?",
            "What should I ask?",
            "What questions can you answer?",
            "What is it that you can do?",
            "List your skills.",
            "What are you for?",
            "How do you work?",
        ),
    ),
    (
        "You are welcome!",
        (
            "Thanks",
            "Thanks!",
            "Thank you!",
            "Thank you.",
            "Thank you very much!",
            "Thanks a lot!",
            "Many thanks.",
            "Thank you, Foal!",
            "Thanks, [that helped|great|nice|good|Foal]!",
            "Great, thanks!",
            "That was helpful.",
            "Cheers!",
            "I thank you.",
            "Well done!",
            "Good job!",
            "Nice!",
            "Great!",
            "Correct!",
            "Very good.",
            "Awesome!",
            "Perfect.",
        ),
    ),
    (
        "Goodbye! Come back soon.",
        (
            "Bye",
            "Bye!",
            "Goodbye!",
            "Goodbye.",
            "Bye bye!",
            "See you!",
            "See you later.",
            "Farewell!",
            "Good night!",
            "I have to go.",
            "See you tomorrow.",
            "That is all.",
            "Goodbye, Foal!",
            "Bye, Foal.",
            "Until next time!",
            "I am leaving now.",
            "Take care!",
            "So long!",
            "Good bye",
        ),
    ),
    (
        "Yes, I am here to help.",
        (
            "OK",
            "Okay.",
            "OK.",
            "Yes",
            "Yes.",
            "Sure.",
            "I see.",
            "Right.",
            "Can I ask you something?",
            "Are you ready?",
            "I have a question.",
            "Fine.",
            "Let's go.",
        ),
    ),
    (
        "I was made by the Paddock project.",
        (
            "Who made you?",
            "Who created you?",
            "Who built you?",
            "Who trained you?",
            "Where do you come from?",
            "Where are you from?",
            "How were you made?",
            "Who is your [maker|creator|author|owner]?",
            "Who owns you?",
            "Who developed you?",
            "How old are you?",
        ),
    ),
    (
        "Why did the foal go to bed? Because it was a little horse.",
        (
            "Tell me a joke.",
            "Tell a joke.",
            "Do you know a joke?",
            "Say something funny.",
            "Make me laugh.",
            "A joke, please.",
            "Another joke!",
            "Can you tell me a joke?",
        ),
    ),
)
STORY_ASKS = (
    "Tell me a story.",
    "Tell me a story.",
    "Tell me a short story.",
    "Tell a story.",
    "A story, please.",
    "Write a story.",
    "Write a short story.",
    "Can you tell me a story?",
    "Could you tell me a story?",
    "I want [to hear |]a story.",
    "Please tell me a [story|tale].",
    "Story?",
    "Make up a story.",
    "Invent a story.",
    "Read me a story.",
    "Give me a story.",
    "Do you know a story?",
    "Tell me a [nice|funny|little|good|bedtime|fairy] [story|tale].",
    "Tell us a story.",
    "Once upon a time",
    "I'd like a story.",
    "Let me hear a story.",
    "Another story!",
    "One more story.",
    "Narrate a tale.",
    "I am bored, tell me a story.",
)
ABOUT_ASKS = (
    "Tell me a story about {x}.",
    "Tell me a story about {x}.",
    "Tell me a short story about {x}.",
    "Tell a story about {x}.",
    "A story about {x}[| please].",
    "Write a [story|short story|tale] about {x}.",
    "Can you tell me a story about {x}?",
    "I want a story about {x}.",
    "Story about {x}?",
    "Make up a story about {x}.",
    "Could you tell me a story about {x}?",
    "Please tell me a story about {x}.",
    "I'd like a story with {x}.",
    "Tell me [something|a tale] about {x}.",
    "Give me a story about {x}.",
)
_BEYOND = (
    "Who wrote {n}?",
    "Who invented the {n}?",
    "How do I [bake|fix|build|clean|sell|draw] a {n}?",
    "What is the population of {c}?",
    "Who is the president of {c}?",
    "How far is {c} from {d}?",
    "What is the [weather|time|temperature] [today|now|in {c}]?",
    "Why is the {n} so [big|old|loud|bright]?",
    "When was the {n} invented?",
    "How much does a {n} cost?",
    "Translate {n} into [French|German|Spanish].",
    "How tall is {p}?",
    "Who is {p}?",
    "What do you think about {n}s?",
    "Which {n} should I buy?",
    "What is the meaning of life?",
    "What is a {n}?",
    "Explain the {n} to me.",
    "How does a {n} work?",
    "When was {p} born?",
    "Who won the {n} last year?",
    "What language do people speak in {c}?",
    "What is the currency of {c}?",
    "How old is the {n}?",
    "Write a poem about a {n}.",
    "What is the price of a {n}?",
    "Where can I find a {n}?",
    "Who painted the {n}?",
    "How many people live in {c}?",
    "What is the square root of {m}?",
    "What happened in {m}?",
    "Write code for a {n}.",
    "Can you book a {n}?",
    "What is the best {n} in {c}?",
    "Who discovered {c}?",
    "How long is the {n}?",
    "What should I cook [tonight|today]?",
    "What is the speed of light?",
    "Sing me a song.",
    "Play some music.",
    "What is the news?",
    "What is the tallest mountain?",
    "What is the biggest city in the world?",
    "What is the longest river?",
    "Who is the king of {c}?",
    "Is it raining?",
    "What time is it?",
    "What day is it today?",
    "What is the date?",
    "Which planet is the largest?",
    "Do you like {n}s?",
    "Summarize the {n}.",
    "How do you spell {n}?",
    "Define {n}.",
    "What is the flag of {c}?",
    "What is the area of {c}?",
    "On which continent is {c}?",
    "What do people eat in {c}?",
    "Which rivers are in {c}?",
)
_REMARKS = (
    "I like {n}s.",
    "I saw a {n} today.",
    "The {n} is nice.",
    "It is a lovely day.",
    "The weather is nice.",
    "I am happy.",
    "I love my {n}.",
    "I bought a {n}.",
    "I had a good day.",
    "We went to the {n}.",
    "I am learning a lot.",
    "Today I will {n}.",
)
SYSTEMS = (
    "You are a helpful assistant.",
    "You are a helpful assistant.",
    "You are Foal.",
    "Be brief.",
    "Answer briefly.",
    "You are a friendly assistant.",
    "Answer the question.",
    "You are a helpful AI assistant. Answer in one sentence.",
    "You are an assistant that answers questions.",
    "Be concise and polite.",
    "Answer in English.",
    "You are a teacher.",
    "You are a helpful, respectful and honest assistant.",
    "Always answer truthfully.",
    "You are a test.",
    "Reply in one short sentence.",
    "You are a knowledgeable tutor for children.",
    "Stop when you are done.",
    "Think step by step.",
    "You are a chatbot in a {n} shop.",
    "The user likes {n}s.",
    "Help the user with the {n}.",
)


def fill(template: str, rng: Random) -> str:
    """The template with a random noun, name, countries and number."""
    text = pick(template, rng)
    fields = {"n": names.ORDINARY, "c": list(CAPITALS), "d": list(CAPITALS)}
    for field, options in fields.items():
        text = text.replace(f"{{{field}}}", rng.choice(options))
    return text.replace("{p}", names.person(rng)).replace("{m}", str(rng.randrange(21, 3000)))


def beyond(rng: Random) -> str:
    return fill(rng.choice(_BEYOND), rng)


def remark(rng: Random) -> str:
    return fill(rng.choice(_REMARKS), rng)


def system(rng: Random) -> str:
    return fill(rng.choice(SYSTEMS), rng)


def garbage(rng: Random) -> str:
    """Bytes that say nothing: what a fuzzer or a cat on the keyboard sends."""
    draw = rng.random()
    length = rng.randint(1, 40)
    if draw < 0.35:
        return bytes(rng.randrange(256) for _ in range(length)).decode("latin-1").replace("<|", "")
    if draw < 0.6:
        return bytes(rng.randrange(256) for _ in range(length)).decode("utf-8", "replace").replace("<|", "")
    if draw < 0.8:
        return "".join(
            chr(rng.choice((rng.randrange(33, 127), rng.randrange(0x390, 0x3FFF)))) for _ in range(length)
        ).replace("<|", "")
    return "".join(rng.choice("asdfghjklqwertyuiop;,.#+-") for _ in range(length))


def story(rng: Random, about: str | None = None) -> str:
    """A story of six short sentences; `about` is `a fox`, `the sea` or a name."""
    hero = about or rng.choice(
        (
            "a small foal",
            "a little fox",
            "a brave mouse",
            "an old owl",
            "a young girl",
            "a shy bear",
            "a little boy",
            "a clever crow",
        )
    )
    name = rng.choice(names.GIVEN[:120])
    place = rng.choice(
        (
            "in a green forest",
            "near a quiet river",
            "on a high hill",
            "in a small village",
            "by the blue sea",
            "on an old farm",
        )
    )
    wish, way, end = rng.choice(
        (
            (
                "wanted to see the sea",
                "walked for three days and asked every bird for the way",
                "stood in the warm sand and laughed",
            ),
            (
                "was looking for a friend",
                "knocked on every door until a little mouse opened",
                "shared a big red apple with the mouse",
            ),
            (
                "lost a golden key",
                "looked under every stone and behind every tree",
                "found the key in an old shoe",
            ),
            (
                "was afraid of the dark",
                "lit a small lamp and counted the stars",
                "slept well and was never afraid again",
            ),
            (
                "wanted to learn to sing",
                "listened to the wind and to the rain",
                "sang a song that everyone loved",
            ),
            (
                "heard a strange noise in the night",
                "went outside and found a crying kitten",
                "kept the kitten warm until the morning",
            ),
        )
    )
    opening = (
        f"Once upon a time there was {hero}." if about else f"Once upon a time there was {hero} named {name}."
    )
    who = _called(about) if about else name
    return (
        f"{opening} {who} lived {place}. One day {_inner(who)} {wish}. So {_inner(who)} {way}. "
        f"In the end {_inner(who)} {end}. And they lived happily ever after. The end."
    )


def _called(hero: str) -> str:
    first, _, rest = hero.partition(" ")
    return f"The {rest}" if first in ("a", "an", "the") else hero


def _inner(who: str) -> str:
    return f"the {who[4:]}" if who.startswith("The ") else who


def topic(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.45:
        return (
            f"{rng.choice(('a', 'a', 'the'))} {rng.choice(names.ANIMALS)}".replace("a owl", "an owl")
            .replace("a e", "an e")
            .replace("a o", "an o")
            .replace("a ant", "an ant")
        )
    if draw < 0.6:
        return f"{rng.choice(('a', 'the'))} {rng.choice(names.ORDINARY)}"
    if draw < 0.7:
        return f"the {bare(rng.choice(list(COLOURS)))}"
    return names.person(rng) if draw < 0.9 else f"a {names.invented(rng).lower()}"
