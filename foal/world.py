"""The facts of the small world that the model knows: one answer for each question.

Where a country has several seats, the one named first in its constitution or in common lists is used.
"""

_COUNTRIES = """
Afghanistan: Kabul; Albania: Tirana; Algeria: Algiers; Andorra: Andorra la Vella; Angola: Luanda
Antigua and Barbuda: Saint John's; Argentina: Buenos Aires; Armenia: Yerevan; Australia: Canberra
Austria: Vienna; Azerbaijan: Baku; the Bahamas: Nassau; Bahrain: Manama; Bangladesh: Dhaka
Barbados: Bridgetown; Belarus: Minsk; Belgium: Brussels; Belize: Belmopan; Benin: Porto-Novo
Bhutan: Thimphu; Bolivia: Sucre; Bosnia and Herzegovina: Sarajevo; Botswana: Gaborone
Brazil: Brasília; Brunei: Bandar Seri Begawan; Bulgaria: Sofia; Burkina Faso: Ouagadougou
Burundi: Gitega; Cambodia: Phnom Penh; Cameroon: Yaoundé; Canada: Ottawa; Cape Verde: Praia
the Central African Republic: Bangui; Chad: N'Djamena; Chile: Santiago; China: Beijing
Colombia: Bogotá; the Comoros: Moroni; Costa Rica: San José; Croatia: Zagreb; Cuba: Havana
Cyprus: Nicosia; the Czech Republic: Prague; the Democratic Republic of the Congo: Kinshasa
Denmark: Copenhagen; Djibouti: Djibouti; Dominica: Roseau; the Dominican Republic: Santo Domingo
East Timor: Dili; Ecuador: Quito; Egypt: Cairo; El Salvador: San Salvador; Eritrea: Asmara
Estonia: Tallinn; Eswatini: Mbabane; Ethiopia: Addis Ababa; Fiji: Suva; Finland: Helsinki
France: Paris; Gabon: Libreville; the Gambia: Banjul; Georgia: Tbilisi; Germany: Berlin
Ghana: Accra; Greece: Athens; Grenada: Saint George's; Guatemala: Guatemala City; Guinea: Conakry
Guinea-Bissau: Bissau; Guyana: Georgetown; Haiti: Port-au-Prince; Honduras: Tegucigalpa
Hungary: Budapest; Iceland: Reykjavik; India: New Delhi; Indonesia: Jakarta; Iran: Tehran
Iraq: Baghdad; Ireland: Dublin; Israel: Jerusalem; Italy: Rome; Ivory Coast: Yamoussoukro
Jamaica: Kingston; Japan: Tokyo; Jordan: Amman; Kazakhstan: Astana; Kenya: Nairobi
Kiribati: South Tarawa; Kosovo: Pristina; Kuwait: Kuwait City; Kyrgyzstan: Bishkek
Laos: Vientiane; Latvia: Riga; Lebanon: Beirut; Lesotho: Maseru; Liberia: Monrovia; Libya: Tripoli
Liechtenstein: Vaduz; Lithuania: Vilnius; Luxembourg: Luxembourg; Madagascar: Antananarivo
Malawi: Lilongwe; Malaysia: Kuala Lumpur; the Maldives: Malé; Mali: Bamako; Malta: Valletta
the Marshall Islands: Majuro; Mauritania: Nouakchott; Mauritius: Port Louis; Mexico: Mexico City
Micronesia: Palikir; Moldova: Chișinău; Monaco: Monaco; Mongolia: Ulaanbaatar
Montenegro: Podgorica; Morocco: Rabat; Mozambique: Maputo; Myanmar: Naypyidaw; Namibia: Windhoek
Nauru: Yaren; Nepal: Kathmandu; the Netherlands: Amsterdam; New Zealand: Wellington
Nicaragua: Managua; Niger: Niamey; Nigeria: Abuja; North Korea: Pyongyang; North Macedonia: Skopje
Norway: Oslo; Oman: Muscat; Pakistan: Islamabad; Palau: Ngerulmud; Panama: Panama City
Papua New Guinea: Port Moresby; Paraguay: Asunción; Peru: Lima; the Philippines: Manila
Poland: Warsaw; Portugal: Lisbon; Qatar: Doha; the Republic of the Congo: Brazzaville
Romania: Bucharest; Russia: Moscow; Rwanda: Kigali; Saint Kitts and Nevis: Basseterre
Saint Lucia: Castries; Saint Vincent and the Grenadines: Kingstown; Samoa: Apia
San Marino: San Marino; São Tomé and Príncipe: São Tomé; Saudi Arabia: Riyadh; Senegal: Dakar
Serbia: Belgrade; the Seychelles: Victoria; Sierra Leone: Freetown; Singapore: Singapore
Slovakia: Bratislava; Slovenia: Ljubljana; the Solomon Islands: Honiara; Somalia: Mogadishu
South Africa: Pretoria; South Korea: Seoul; South Sudan: Juba; Spain: Madrid
Sri Lanka: Sri Jayawardenepura Kotte; Sudan: Khartoum; Suriname: Paramaribo; Sweden: Stockholm
Switzerland: Bern; Syria: Damascus; Taiwan: Taipei; Tajikistan: Dushanbe; Tanzania: Dodoma
Thailand: Bangkok; Togo: Lomé; Tonga: Nuku'alofa; Trinidad and Tobago: Port of Spain
Tunisia: Tunis; Turkey: Ankara; Turkmenistan: Ashgabat; Tuvalu: Funafuti; Uganda: Kampala
Ukraine: Kyiv; the United Arab Emirates: Abu Dhabi; the United Kingdom: London
the United States: Washington, D.C.; Uruguay: Montevideo; Uzbekistan: Tashkent
Vanuatu: Port Vila; Vatican City: Vatican City; Venezuela: Caracas; Vietnam: Hanoi; Yemen: Sana'a
Zambia: Lusaka; Zimbabwe: Harare
"""

# Other names people use; the answer still says the name in `CAPITALS`.
COUNTRY_ALIASES = {
    "the USA": "the United States",
    "the US": "the United States",
    "America": "the United States",
    "the United States of America": "the United States",
    "the UK": "the United Kingdom",
    "England": "the United Kingdom",
    "Great Britain": "the United Kingdom",
    "Czechia": "the Czech Republic",
    "Holland": "the Netherlands",
    "the UAE": "the United Arab Emirates",
    "Timor-Leste": "East Timor",
    "Burma": "Myanmar",
    "Swaziland": "Eswatini",
    "Cabo Verde": "Cape Verde",
    "Côte d'Ivoire": "Ivory Coast",
    "the DRC": "the Democratic Republic of the Congo",
    "Macedonia": "North Macedonia",
    "Türkiye": "Turkey",
}

# `heavy>light` holds in one direction only: the opposite of light is dark.
_OPPOSITES = """
hot cold; big small; up down; left right; happy sad; fast slow; old new; open closed; day night
black white; good bad; high low; long short; hard soft; light dark; full empty; rich poor; early late
inside outside; above below; near far; wet dry; clean dirty; strong weak; loud quiet; thick thin
wide narrow; deep shallow; heavy>light; young>old; love hate; win lose; buy sell; give take
push pull; start stop; begin end; come go; laugh cry; remember forget; question answer; friend enemy
king queen; boy girl; man woman; brother sister; father mother; true false; yes no; always never
everything nothing; all none; more less; many few; first last; before after; here there; north south
east west; summer winter; brave cowardly; beautiful ugly; cheap expensive; easy difficult
simple complicated; safe dangerous; sharp blunt; smooth rough; sweet sour; tall>short; warm cool
awake asleep; alive dead; alone together; arrive depart; borrow lend; build destroy; careful careless
polite rude; possible impossible; public private; raw cooked; same different; tight loose
visible invisible; war peace; wrong correct; success failure; increase decrease; maximum minimum
positive negative; victory defeat; accept refuse; front back; top bottom; over under; in out; on off
ancient modern; generous stingy; guilty innocent; humble proud; import export; lucky unlucky
noisy silent; patient impatient; tidy messy; wise foolish; find>lose; large>small; little>big; quick>slow
freeze melt; sunrise sunset; teacher student; wild tame; fresh stale; healthy sick
"""

_COLOURS = """
yellow: a banana, a lemon, the sun, a sunflower, a canary, butter, corn, a school bus, a chick, a daffodil
red: a tomato, a strawberry, a cherry, blood, a fire engine, a stop sign, a rose, a ruby, a ladybird, a brick
red: an apple, a raspberry, ketchup, a cranberry
green: grass, a leaf, a cucumber, a lime, spinach, broccoli, a pea, a frog, an emerald, a cactus, lettuce
green: a crocodile, a tree, an avocado, celery
blue: the sky, the sea, the ocean, a sapphire, a blueberry, a bluebird, a cornflower
orange: an orange, a carrot, a pumpkin, a tangerine, a goldfish
white: snow, milk, salt, sugar, rice, flour, cotton, a polar bear, a swan, a cloud, a tooth, a snowman
white: paper, a daisy, a seagull, cauliflower
black: coal, a crow, a raven, tar, a panther, the night, a blackbird, a blackberry, ink
brown: chocolate, coffee, a chestnut, mud, wood, a bear, a walnut, cinnamon, soil, a potato
pink: a pig, a flamingo, bubblegum, a piglet
purple: an eggplant, a plum, lavender, a violet, an amethyst
grey: an elephant, a mouse, ash, a storm cloud, a dolphin, a rhinoceros, a wolf, concrete, a koala
black and white: a zebra, a panda, a penguin, a skunk
"""

_PLURALS = {
    "leaf": "leaves",
    "tooth": "teeth",
    "mouse": "mice",
    "snowman": "snowmen",
    "sheep": "sheep",
    "wolf": "wolves",
    "avocado": "avocados",
    "flamingo": "flamingos",
    "calf": "calves",
    "goose": "geese",
    "fly": "flies",
    "deer": "deer",
    "goldfish": "goldfish",
}

_SOUNDS = """
moo: a cow, a bull, a calf; woof: a dog; meow: a cat; quack: a duck; oink: a pig, a piglet
baa: a sheep, a lamb, a goat; neigh: a horse, a pony; cock-a-doodle-doo: a rooster; cluck: a hen, a chicken
cheep: a chick; roar: a lion, a tiger; ribbit: a frog; hoot: an owl; buzz: a bee, a fly, a wasp
hiss: a snake, an alligator; squeak: a mouse, a rat, a hamster; howl: a wolf, a coyote; hee-haw: a donkey
gobble: a turkey; caw: a crow, a raven; honk: a goose, a swan; tweet: a bird, a canary; toot: an elephant
mew: a kitten; yip: a puppy; ooh ooh ah ah: a monkey, a chimpanzee; growl: a bear, a leopard
coo: a dove, a pigeon; squawk: a parrot, a seagull, a penguin; chirp: a cricket, a sparrow; whine: a mosquito
click: a dolphin; arf: a seal; ha ha ha: a hyena; yap: a fox; grunt: a camel, a gorilla, a hippo
screech: an eagle, a hawk; cuckoo: a cuckoo; snort: a rhino, a boar; wheek: a guinea pig; croak: a toad
chatter: a squirrel; bray: a zebra, a mule; hum: a llama, an alpaca; bellow: a deer, a moose
"""

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

# Single facts with their own questions, written in the grammar of `phrasings.py`.
MISCELLANY: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("There are 7 days in a week.", ("How many days [are in|does|are there in] a week [have|]?",)),
    ("There are 12 months in a year.", ("How many months [are in|are there in] [a|one] year?",)),
    (
        "The days of the week are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.",
        (
            "[List|Name|Say|Give me|Tell me] [|all ]the [days of the week|weekdays|seven days].",
            "[What|Which] are the [seven days|days of the week|weekdays]?",
        ),
    ),
    (
        "The months of the year are January, February, March, April, May, June, July, August, September, "
        "October, November and December.",
        (
            "[List|Name|Say|Give me|Tell me] [|all ]the [months of the year|months|twelve months].",
            "[What|Which] are the [twelve months|months of the year|months]?",
        ),
    ),
    ("The first day of the week is Monday.", ("[What is|What's|Which is] the first day of the week?",)),
    ("The last day of the week is Sunday.", ("[What is|What's|Which is] the last day of the week?",)),
    (
        "The first month of the year is January.",
        ("[What is|What's|Which is] the first month [of the year|]?",),
    ),
    (
        "The last month of the year is December.",
        ("[What is|What's|Which is] the last month [of the year|]?",),
    ),
)


def listed(text: str) -> list[str]:
    return [item.strip() for item in text.replace("\n", " ").split(",")]


def _pairs(text: str) -> list[tuple[str, str]]:
    entries = text.replace("\n", ";").split(";")
    split = (entry.strip().split(": ", 1) for entry in entries if entry.strip())
    return [(left, right) for left, right in split]


def _grouped(text: str) -> dict[str, str]:
    return {thing.strip(): value for value, things in _pairs(text) for thing in things.split(",")}


def _opposites(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in text.replace("\n", ";").split(";"):
        word, arrow, other = entry.strip().partition(">")
        if arrow:
            found[word] = other
        elif entry.strip():
            word, other = entry.split()
            found |= {word: other, other: word}
    return found


def bare(thing: str) -> str:
    """`a banana` -> `banana`, `the sky` -> `sky`."""
    first, _, rest = thing.partition(" ")
    return rest if first in ("a", "an", "the") else thing


def plural(thing: str) -> str | None:
    """`a banana` -> `bananas`; None for what is not counted."""
    if not thing.startswith(("a ", "an ")):
        return None
    word = bare(thing)
    if word in _PLURALS:
        return _PLURALS[word]
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "sh", "ch", "o")) and not word.endswith("oo") else "s")


CAPITALS: dict[str, str] = dict(_pairs(_COUNTRIES))
OPPOSITES: dict[str, str] = _opposites(_OPPOSITES)
COLOURS: dict[str, str] = _grouped(_COLOURS)
SOUNDS: dict[str, str] = _grouped(_SOUNDS)
NUMBERS = listed("""
zero, one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen,
fifteen, sixteen, seventeen, eighteen, nineteen, twenty
""")


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def capital_answer(country: str) -> str:
    return f"The capital of {country} is {CAPITALS[country].removesuffix('.')}."


def opposite_answer(word: str) -> str:
    return f"The opposite of {word} is {OPPOSITES[word]}."


def colour_answer(thing: str) -> str:
    return f"{upper_first(thing)} is {COLOURS[thing]}."


def sound_answer(animal: str) -> str:
    return f"{upper_first(animal)} says {SOUNDS[animal]}."


def neighbour_answer(names: tuple[str, ...], name: str, step: int) -> str:
    """`step` is 1 for the next day or month and -1 for the one before."""
    other = names[(names.index(name) + step) % len(names)]
    return f"{'After' if step > 0 else 'Before'} {name} comes {other}."


def sum_answer(a: int, b: int) -> str:
    return f"{a} + {b} = {a + b}."


def difference_answer(a: int, b: int) -> str:
    return f"{a} - {b} = {a - b}."
