from foal import world


class TestFacts:
    def test_there_are_enough(self) -> None:
        assert len(world.CAPITALS) >= 190
        assert len(world.OPPOSITES) >= 120
        assert len(world.COLOURS) >= 40
        assert len(world.SOUNDS) >= 40

    def test_each_is_given_once(self) -> None:
        for text in (world._COLOURS, world._SOUNDS):
            things = [thing.strip() for _, group in world._pairs(text) for thing in group.split(",")]
            assert len(things) == len(set(things))
        countries = [country for country, _ in world._pairs(world._COUNTRIES)]
        assert len(countries) == len(set(countries))
        words = [
            word
            for entry in world._OPPOSITES.replace("\n", ";").split(";")
            for word in entry.split(">")[0].split()
        ]
        assert len(words) == len(set(words))

    def test_capitals_are_distinct(self) -> None:
        assert len(set(world.CAPITALS.values())) == len(world.CAPITALS)

    def test_aliases_name_countries(self) -> None:
        assert set(world.COUNTRY_ALIASES.values()) <= set(world.CAPITALS)
        assert not set(world.COUNTRY_ALIASES) & set(world.CAPITALS)


class TestAnswers:
    def test_are_sentences(self) -> None:
        assert world.capital_answer("France") == "The capital of France is Paris."
        assert (
            world.capital_answer("the United States")
            == "The capital of the United States is Washington, D.C."
        )
        assert world.opposite_answer("hot") == "The opposite of hot is cold."
        assert world.colour_answer("a banana") == "A banana is yellow."
        assert world.sound_answer("a cow") == "A cow says moo."
        assert world.neighbour_answer(world.DAYS, "Sunday", 1) == "After Sunday comes Monday."
        assert world.neighbour_answer(world.MONTHS, "January", -1) == "Before January comes December."
        assert world.sum_answer(7, 5) == "7 + 5 = 12."
        assert world.difference_answer(3, 5) == "3 - 5 = -2."

    def test_plurals(self) -> None:
        assert world.plural("a cherry") == "cherries"
        assert world.plural("a leaf") == "leaves"
        assert world.plural("the sky") is None
