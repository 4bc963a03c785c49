"""The phrasings that only the evaluation uses.

This file was committed before the first training template, and `tests/unit/foal` checks that no
training template equals or contains one of these. When the model generalises badly the remedy is
a wider training grammar in `phrasings.py`, never a change here.
"""

FACTS: dict[str, tuple[str, ...]] = {
    "capitals": (
        "Name the city that is the capital of {x}.",
        "What would be the capital city of {x}?",
        "{x} has which city as its capital?",
        "In {x}, the capital is which city?",
        "Can you remind me what {x}'s capital is called?",
        "Which city do we call the capital of {x}?",
        "My homework asks for the capital of {x}. What should I write?",
        "If I visit the capital of {x}, which city am I in?",
        "The government of {x} sits in which capital city?",
        "Do you happen to know the capital city of {x}?",
    ),
    "opposites": (
        "Which word is opposite in meaning to {x}?",
        "What word means the reverse of {x}?",
        "{x} is the opposite of which word?",
        "How do you say the contrary of {x}?",
        "I need a word with the opposite meaning to {x}.",
        "Turn the word {x} around: what is its opposite?",
        "If something stops being {x}, what is the opposite it becomes?",
        "Can you find an antonym for {x}?",
        "My homework asks for the opposite of {x}. What should I write?",
    ),
    "colours": (
        "Which colour would you paint {x}?",
        "If I draw {x}, which colour do I need?",
        "When you look at {x}, which colour do you see?",
        "Say which color {x} has.",
        "{x}: which color is it usually?",
        "Do you happen to know the usual colour of {x}?",
        "Name the colour that {x} normally has.",
        "My homework asks for the colour of {x}. What should I write?",
        "The color we see on {x} is which one?",
    ),
    "days_after": (
        "Which day do we have once {x} is over?",
        "Right after {x}, which day starts?",
        "{x} is followed by which day?",
        "Name the weekday that comes straight after {x}.",
        "Suppose it is {x} today; which day will it be tomorrow?",
        "We meet the day after {x}. Which day is that?",
        "When {x} ends, what day do you get?",
        "Going forward one day from {x}, which day is it?",
    ),
    "days_before": (
        "Which day comes just ahead of {x}?",
        "{x} is preceded by which day?",
        "Name the weekday that comes right before {x}.",
        "Suppose it is {x} today; which day was it yesterday?",
        "We met the day before {x}. Which day was that?",
        "Going back one day from {x}, which day is it?",
        "Just before {x} starts, which day ends?",
        "Which day did we have before {x} began?",
    ),
    "months_after": (
        "Which month do we have once {x} is over?",
        "Right after {x}, which month starts?",
        "{x} is followed by which month?",
        "Name the month that comes straight after {x}.",
        "Suppose it is {x} now; which month will be next?",
        "We travel the month after {x}. Which month is that?",
        "When {x} ends, what month do you get?",
        "Going forward one month from {x}, which month is it?",
    ),
    "months_before": (
        "Which month comes just ahead of {x}?",
        "{x} is preceded by which month?",
        "Name the month that comes right before {x}.",
        "Suppose it is {x} now; which month was the last one?",
        "We travelled the month before {x}. Which month was that?",
        "Going back one month from {x}, which month is it?",
        "Just before {x} starts, which month ends?",
        "Which month did we have before {x} began?",
    ),
    "animals": (
        "Which sound would I hear from {x}?",
        "If you met {x}, what would it say?",
        "Imitate {x} for me.",
        "What do you hear when {x} calls?",
        "Make the noise of {x}.",
        "Name the sound that comes from {x}.",
        "My homework asks what {x} says. What should I write?",
        "Which noise do we know {x} for?",
        "Do you happen to know what {x} says?",
    ),
}

# {a} stands before {b} in every sum, because the answer restates them in the order heard.
SUMS: tuple[str, ...] = (
    "If I have {a} and get {b} more, how many do I have?",
    "Could you work out what {a} and {b} make together?",
    "Put {a} and {b} together: what total do you get?",
    "The sum I want is {a} + {b}; what is it?",
    "I need {a} plus {b}, what does that come to?",
    "{a} apples and {b} apples: how many apples is that?",
    "My homework says {a}+{b}. What should I write?",
    "How big is the sum of {a} and {b}?",
    "Begin at {a} and count up by {b}.",
)

DIFFERENCES: tuple[str, ...] = (
    "If I have {a} and give away {b}, how many do I keep?",
    "Starting at {a} and going down by {b}, where do I end?",
    "I need {a} minus {b}, what does that come to?",
    "My homework says {a}-{b}. What should I write?",
    "How big is the difference {a} - {b}?",
    "Remove {b} from {a}: what stays?",
    "{a} apples without {b} of them: how many apples is that?",
    "The difference I want is {a} - {b}; what is it?",
)

# Each kind: what the user tells the model, and how the user asks for it later.
RECALL: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "name": (
        (
            "Folks around here know me as {x}.",
            "Please write down that my name is {x}.",
            "It's {x} speaking, good to meet you.",
        ),
        ("Which name did I give you?", "How did I introduce myself?", "What should you call me now?"),
    ),
    "city": (
        ("My house stands in {x}.", "I moved to {x} and live there now.", "{x} is where my home is."),
        ("In which city is my home?", "Which place did I say I live in?", "Where was my house again?"),
    ),
    "colour": (
        (
            "The colour I like more than any other is {x}.",
            "No colour beats {x} for me.",
            "If I had to pick a favourite color, it would be {x}.",
        ),
        (
            "Which color did I say I like best?",
            "What was the colour I love again?",
            "Can you recall my favourite colour for me?",
        ),
    ),
    "animal": (
        (
            "The animal I like more than any other is {x}.",
            "No animal beats {x} for me.",
            "If I had to pick a favourite animal, it would be {x}.",
        ),
        (
            "Which animal did I say I like best?",
            "What was the animal I love again?",
            "Can you recall my favourite animal for me?",
        ),
    ),
    "food": (
        (
            "The food I like more than any other is {x}.",
            "No food beats {x} for me.",
            "If I had to pick a favourite food, it would be {x}.",
        ),
        (
            "Which food did I say I like best?",
            "What was the food I love again?",
            "Can you recall my favourite food for me?",
        ),
    ),
    "age": (
        ("I turned {x} this year.", "My last birthday made me {x} years old.", "I have lived for {x} years."),
        ("How many years old did I say I am?", "What was my age again?", "Can you recall my age for me?"),
    ),
    "dog": (
        (
            "We named our dog {x}.",
            "At home there is a dog that goes by {x}.",
            "My dog listens to the name {x}.",
        ),
        ("Which name has my dog?", "What was my dog's name again?", "How did I say my dog is called?"),
    ),
    "cat": (
        (
            "We named our cat {x}.",
            "At home there is a cat that goes by {x}.",
            "My cat listens to the name {x}.",
        ),
        ("Which name has my cat?", "What was my cat's name again?", "How did I say my cat is called?"),
    ),
}
