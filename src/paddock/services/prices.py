"""What tokens cost, from `prices.toml`; `docs/usage.md` describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paddock.errors import StartupError
from paddock.schemas.limits import NANO

OTHERS = "*"
MILLION = 10**6
_KEYS = ("prompt", "cached_prompt", "completion")
_MOST = 10**6
"""Of the currency for a million tokens: a slip of the pen, and no price."""


@dataclass(frozen=True, slots=True)
class Price:
    """In billionths of the currency (`NANO`) for a million tokens: whole numbers, whose sums are exact."""

    prompt: int = 0
    cached_prompt: int = 0
    completion: int = 0
    # The same for one token, where all are whole numbers too: most are, and no division is needed then.
    _each: tuple[int, int, int] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        each = [divmod(one, MILLION) for one in (self.prompt, self.cached_prompt, self.completion)]
        prompt, cached, completion = (whole for whole, _ in each)
        # Of a cached token what it costs beyond one of the prompt, as which it counts too: mostly below zero.
        whole = None if any(rest for _, rest in each) else (prompt, cached - prompt, completion)
        object.__setattr__(self, "_each", whole)

    def cost(self, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> int:
        """In billionths of the currency, rounded to a whole one.

        Args:
            prompt_tokens: all of them, `cached_tokens` included.
        """
        if self._each is not None:
            prompt, cached, completion = self._each
            return prompt_tokens * prompt + cached_tokens * cached + completion_tokens * completion
        millionths = (
            (prompt_tokens - cached_tokens) * self.prompt
            + cached_tokens * self.cached_prompt
            + completion_tokens * self.completion
        )
        return (millionths + MILLION // 2) // MILLION


FREE = Price()


@dataclass(frozen=True, slots=True)
class Prices:
    """
    Attributes:
        currency: of all prices, an ISO 4217 code: that of the hardware's.
        models: by the names of models and adapters.
        others: of all models that are not in `models`.
    """

    currency: str = "EUR"
    models: Mapping[str, Price] = field(default_factory=dict)
    others: Price = FREE

    def of(self, model: str, adapter: str = "") -> Price:
        """An adapter that has no price of its own costs what its model costs."""
        return self.models.get(adapter) or self.models.get(model) or self.others


def parse_prices(raw: Mapping[str, Any], where: str, currency: str) -> Prices:
    """The prices in `raw`, as TOML gives them; `where` names the file in errors.

    Raises:
        StartupError: a key is unknown or its value wrong; says what would be right.
    """
    unknown = sorted(set(raw) - {"currency", "models"})
    if unknown:
        raise StartupError(f"{where}: unknown key {unknown[0]}; known are currency, models")
    if raw.get("currency", currency) != currency:
        raise StartupError(
            f"{where}: currency must be {currency}, the currency of hardware.toml, not {raw['currency']!r}"
        )
    tables = raw.get("models", {})
    if not isinstance(tables, Mapping):
        raise StartupError(
            f'{where}: models must be a table of models, such as [models."paddock/foal"], not {tables!r}'
        )
    models = {name: _read(name, table, where) for name, table in tables.items()}
    others = models.pop(OTHERS, FREE)
    return Prices(currency, models, others)


def _read(name: str, table: Any, where: str) -> Price:
    path = f'models."{name}"'
    if not name.strip():
        raise StartupError(f"{where}: {path} must have a model's or an adapter's name, or * for all others")
    if not isinstance(table, Mapping):
        raise StartupError(f"{where}: {path} must be a table, such as [{path}], not {table!r}")
    unknown = sorted(set(table) - set(_KEYS))
    if unknown:
        raise StartupError(f"{where}: unknown key {path}.{unknown[0]}; known are {', '.join(_KEYS)}")
    read = {key: _amount(value, f"{where}: {path}.{key}") for key, value in table.items()}
    prompt = read.get("prompt", 0)
    return Price(prompt, read.get("cached_prompt", prompt), read.get("completion", 0))


def _amount(value: Any, what: str) -> int:
    # True is a number to Python, and what is no number at all is in no range.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST:
        return round(value * NANO)
    raise StartupError(
        f"{what} must be the price of a million tokens, a number from 0 to {_MOST:,}, not {value!r}"
    )
