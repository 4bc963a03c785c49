from __future__ import annotations

import tomllib
from fractions import Fraction
from math import floor
from typing import Any

import pytest

from paddock.errors import StartupError
from paddock.schemas.limits import NANO
from paddock.services.prices import FREE, Price, Prices, parse_prices

SAID = """
currency = "EUR"

[models."paddock/foal"]
prompt = 0.05
cached_prompt = 0.0125
completion = 0.2

[models.poet]
completion = 1

[models."*"]
prompt = 3
"""


def parse(text: str, currency: str = "EUR") -> Prices:
    return parse_prices(tomllib.loads(text), "prices.toml", currency)


class TestCost:
    def test_in_billionths(self) -> None:
        price = Price(prompt=NANO // 20, cached_prompt=NANO // 80, completion=NANO // 5)
        assert price.cost(1_000_000, 0, 0) == 50_000_000
        assert price.cost(1_000_000, 400_000, 10) == 30_000_000 + 5_000_000 + 2_000
        assert FREE.cost(10**6, 10, 10**6) == 0

    def test_of_small_amounts_nothing_is_cut_off(self) -> None:
        # 37.5 billionths for a token.
        price = Price(prompt=37_500_000)
        assert [price.cost(count, 0, 0) for count in (0, 1, 2, 3)] == [0, 38, 75, 113]

    @pytest.mark.parametrize("odd", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
    def test_with_whole_prices_of_a_token_and_without(self, odd: tuple[int, int, int]) -> None:
        prompt, cached, completion = (
            one + more for one, more in zip((3_000_000, 1_000_000, 7_000_000), odd, strict=True)
        )
        for tokens in ((0, 0, 0), (9, 4, 12), (10**6, 999_999, 123_456), (5, 5, 0)):
            exact = Fraction((tokens[0] - tokens[1]) * prompt + tokens[1] * cached + tokens[2] * completion)
            assert Price(prompt, cached, completion).cost(*tokens) == floor(exact / 10**6 + Fraction(1, 2))


class TestPrices:
    def test_of_a_model_of_an_adapter_and_of_all_others(self) -> None:
        prices = parse(SAID)
        foal = Price(50_000_000, 12_500_000, 200_000_000)
        assert prices.of("paddock/foal") == foal
        assert prices.of("paddock/foal", "not listed") == foal
        assert prices.of("paddock/foal", "poet") == Price(0, 0, NANO)
        assert prices.of("another") == Price(3 * NANO, 3 * NANO, 0)

    def test_none_are_made_up(self) -> None:
        assert parse("").of("any") == FREE

    def test_a_price_of_nothing_is_a_price(self) -> None:
        prices = parse('[models.gift]\nprompt = 0\n[models."*"]\nprompt = 1\n')
        assert prices.of("gift") == FREE

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("model = 1", "unknown key model; known are currency, models"),
            ('currency = "USD"', "currency must be EUR, the currency of hardware.toml, not 'USD'"),
            ("models = 1", "models must be a table of models"),
            ("[models]\nfoal = 1", 'models."foal" must be a table'),
            ('[models.""]\nprompt = 1', "must have a model's or an adapter's name"),
            ("[models.foal]\ninput = 1", 'unknown key models."foal".input; known are prompt, cached_prompt'),
            ("[models.foal]\nprompt = -1", "a number from 0 to 1,000,000, not -1"),
            ("[models.foal]\nprompt = true", "not True"),
            ("[models.foal]\ncompletion = nan", "not nan"),
            ("[models.foal]\ncompletion = inf", "not inf"),
            ('[models.foal]\ncached_prompt = "1"', 'models."foal".cached_prompt must be the price'),
        ],
    )
    def test_what_is_wrong_is_named(self, text: str, said: str) -> None:
        with pytest.raises(StartupError) as caught:
            parse(text)
        assert said in caught.value.message
        assert caught.value.message.startswith("prices.toml: ")

    def test_in_the_currency_of_the_hardware(self) -> None:
        wished: dict[str, Any] = {"currency": "USD"}
        assert parse_prices(wished, "prices.toml", "USD").currency == "USD"
