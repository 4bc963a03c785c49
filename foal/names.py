"""Words that only have to be copied: names, places, foods.

Many are invented, so that copying is learnt and not the names.
"""

from random import Random

from foal.world import listed

GIVEN = listed("""
Ada, Alan, Alice, Amir, Amina, Ana, Anders, Andrea, Anna, Anton, Arjun, Asha, Astrid, Ben, Bella, Bob,
Boris, Bruno, Camille, Carla, Carlos, Carmen, Cecilia, Chen, Chloe, Clara, Conor, Daisy, Dan, Daniel, David,
Diego, Dina, Dmitri, Dora, Edith, Elena, Eli, Elif, Ella, Emil, Emily, Emma, Eric, Erik, Esther, Eva,
Fatima, Felix, Fiona, Florian, Frank, Freya, Gabriel, George, Gina, Grace, Greta, Hana, Hannah, Harry,
Hassan, Heidi, Helen, Henry, Hiro, Hugo, Ian, Ibrahim, Ida, Igor, Ines, Ingrid, Iris, Isaac, Isabel, Ivan,
Jack, Jacob, James, Jane, Jasmine, Javier, Jin, John, Jonas, Jose, Julia, Julian, Kai, Karim, Kate, Kenji,
Kim, Kofi, Kwame, Lara, Laura, Lea, Leila, Leo, Leon, Lily, Linda, Linus, Lisa, Luca, Lucas, Lucy, Luis,
Luna, Magda, Malik, Marco, Maria, Marie, Mark, Marta, Martin, Mary, Matteo, Max, Maya, Mei, Mia, Michael,
Miguel, Mila, Milan, Mina, Mohamed, Mona, Nadia, Naomi, Nia, Nils, Nina, Noah, Nora, Olga, Oliver, Olivia,
Omar, Oscar, Otto, Pablo, Paul, Paula, Pedro, Peter, Petra, Pia, Priya, Quentin, Rachel, Rafael, Raj, Ravi,
Rita, Robert, Robin, Rosa, Ruth, Sam, Samir, Sara, Sarah, Sasha, Selma, Simon, Sofia, Sonia, Stefan, Sven,
Tara, Theo, Thomas, Tim, Tom, Tomas, Ursula, Uma, Vera, Victor, Viktor, Vincent, Walter, Wanda, Wei,
William, Xavier, Xena, Yara, Yasmin, Yuki, Yusuf, Zara, Zoe, Ximena, Alex, Charlie, Jordan, Kelly, Morgan,
Sue, Joe, Bill, Steve, Nick, Amy, Ron, Ted, Zed, Grete, Bo, Al, Jo, Dave, Mike, Beth, Rob, Liz, Meg, Pam,
Ken, Ned, Kurt, Karl, Lars, Jan, Piotr, Jana, Tove, Signe, Mette, Aino, Eero, Sanna, Juan, Jorge
""")
CITIES = listed("""
Barcelona, Munich, Hamburg, Milan, Naples, Lyon, Porto, Krakow, Istanbul, Mumbai, Shanghai, Sydney,
Melbourne, Toronto, Montreal, Chicago, Boston, New York, Los Angeles, San Francisco, Seattle, Lagos,
Karachi, Osaka, Kyoto, Busan, Manchester, Leeds, Glasgow, Zurich, Geneva, Basel, Antwerp, Rotterdam,
Gothenburg, Bergen, Aarhus, Turin, Venice, Seville, Valencia, Marseille, Nice, Cologne, Dresden, Leipzig,
Graz, Cape Town, Durban, Dubai, Texas, Bristol, Oxford, Cambridge, York, Cork, Galway, Turku, Tampere,
Cusco, Rio de Janeiro, São Paulo, Medellín
""")
COLOURS = listed("""
blue, red, green, yellow, orange, purple, pink, black, white, brown, grey, turquoise, violet, gold, silver,
teal, indigo, beige, maroon, crimson, cyan, magenta, lilac, olive, navy, coral, lime, mint, scarlet
""")
ANIMALS = listed("""
cat, dog, horse, fox, wolf, bear, lion, tiger, elephant, giraffe, zebra, monkey, rabbit, hedgehog, owl,
eagle, penguin, dolphin, whale, shark, turtle, frog, snake, lizard, crocodile, bee, ant, spider, mouse, rat,
hamster, otter, beaver, badger, squirrel, deer, moose, camel, llama, goat, sheep, cow, pig, duck, goose,
swan, parrot, panda, koala, kangaroo, octopus, crab, seal, crow
""")
FOODS = listed("""
pizza, pasta, rice, soup, bread, cheese, chocolate, ice cream, sushi, curry, salad, tacos, pancakes,
waffles, apples, noodles, dumplings, potatoes, chips, burgers, falafel, hummus, lasagne, risotto, ramen,
apple pie, cake, strawberries, mangoes, porridge, omelettes, tofu, beans, kebab, pho, paella, goulash,
pierogi, spaghetti, toast
""")
JOBS = listed("""
baker, teacher, nurse, doctor, farmer, pilot, painter, driver, cook, gardener, plumber, builder, singer,
dancer, writer, programmer, dentist, lawyer, sailor, tailor, waiter, welder, fisher, carpenter, mechanic,
librarian, photographer, scientist
""")
PETS = listed("""
rabbit, horse, hamster, parrot, goldfish, turtle, pony, snake, pet, bird, fish, lizard, guinea pig
""")
PEOPLE = listed("""
brother, sister, mother, father, son, daughter, friend, best friend, teacher, boss, neighbour, cousin,
uncle, aunt, grandmother, grandfather, wife, husband, doctor
""")
THINGS = listed("""
favourite book, favourite song, favourite film, favourite city, favourite number, favourite season,
hometown, favourite drink, favourite sport, lucky number, favourite country, favourite fruit, favourite toy,
hobby, favourite flower, team, school, street, car, boat, phone number, nickname, last name, birthday,
favourite game, favourite day, favourite month, room, password, code, dream, language, favourite subject,
favourite band, email, company, bicycle, village, train, surname, middle name, favourite movie, house
number, project
""")
SECRETS = listed("""
secret word, password, code, magic word, code word, key word, number, secret number, secret, answer, meeting
room, meeting point, winning number, plan, date, time, place, address, topic, title, word of the day,
project
""")
# Ordinary words: they fill sentences that the model must learn to look past.
ORDINARY = listed("""
table, chair, window, door, garden, river, mountain, road, bridge, train, ticket, letter, paper, pencil,
story, music, song, film, kitchen, spoon, knife, bottle, glass, water, fire, wind, rain, snow, storm, cloud,
star, moon, planet, ship, island, beach, forest, tree, flower, stone, metal, wood, glue, rope, button,
jacket, shoe, hat, pocket, bag, box, key, lock, clock, minute, hour, week, year, century, party, game, ball,
goal, team, player, winner, prize, money, coin, bank, shop, market, price, breakfast, lunch, dinner, salt,
sugar, pepper, oil, doctor, nurse, hospital, school, lesson, exam, teacher, pupil, class, book, page,
chapter, poem, writer, artist, painter, picture, camera, photo, museum, castle, tower, church, king, queen,
army, soldier, farmer, field, harvest, tractor, engine, wheel, motor, driver, plane, pilot, airport, travel,
holiday, hotel, tent, map, guide, language, word, sentence, question, idea, problem, reason, dream, sleep,
morning, evening, night, light, shadow, noise, silence, voice, laugh, smile, tear, hand, foot, head, eye,
ear, nose, mouth, heart, brain, bone, blood, child, baby, parent, family, neighbour, friend, guest, meeting,
office, work, job, boss, plan, project, report, computer, screen, keyboard, phone, message, number, list,
test, quiz, puzzle, riddle, bet, run, walk, jump, climb, swim, fly, drive, carry, hold, drop, throw, catch,
break, fix, build, paint, draw, write, read, learn, teach, think, know, believe, hope, wish, need, want,
like, help, ask, say, speak, listen, hear, see, watch, find, lose, buy, sell, pay, cook, eat, drink, wash,
clean, open, close, start, stop, wait, leave, arrive, return, visit, meet, marry, fight, win, play, sing,
dance
""")
_ONSETS = listed("""
b, c, d, f, g, h, j, k, l, m, n, p, r, s, t, v, w, y, z, br, ch, cl, dr, fl, gr, kr, pl, qu, sh, sl, st, th,
tr, zh, x
""")
_NUCLEI = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "ai", "ea", "ia", "oo", "ou", "ei", "ue"]
_CODAS = ["", "", "", "", "n", "r", "l", "s", "m", "k", "t", "x", "nd", "rt", "sk", "th"]


def invented(rng: Random) -> str:
    """A pronounceable word that is in no list, such as `Zorvan`."""
    syllables = rng.choice((1, 2, 2, 2, 2, 3))
    word = "".join(rng.choice(_ONSETS) + rng.choice(_NUCLEI) + rng.choice(_CODAS) for _ in range(syllables))
    return word.capitalize()


def person(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.45:
        return rng.choice(GIVEN)
    if draw < 0.52:
        return f"{rng.choice(GIVEN)} {invented(rng)}"
    return invented(rng)


def token(rng: Random) -> str:
    """Anything one may be asked to keep: a word, a number, a code."""
    draw = rng.random()
    if draw < 0.35:
        return rng.choice(ORDINARY)
    if draw < 0.55:
        return invented(rng)
    if draw < 0.65:
        return invented(rng).lower()
    if draw < 0.9:
        return str(rng.randrange(10 ** rng.randint(1, 5)))
    return f"{rng.choice('ABCDEFGHKLMNPRSTXYZ')}{rng.randrange(1000)}"
