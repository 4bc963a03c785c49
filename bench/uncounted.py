"""`paddock serve` that counts nothing: no limits, no ledger. For the benchmarks of what these cost.

`python -m bench.uncounted serve …` takes what `paddock` takes. There is no such setting: who runs a server
wants to know what it does.
"""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Iterable
from typing import Any

from paddock import cli
from paddock.gateway.accounts import Accounts
from paddock.gateway.http import Request
from paddock.inference.deployment import Deployment


def admit(
    self: Accounts, request: Request, deployment: Deployment, max_tokens: int | None, answers: int
) -> Coroutine[Any, Any, None] | None:
    """Lets everybody through."""
    return None


def settle(self: Accounts, over: Iterable[tuple[Request, float]]) -> None:
    """Writes nothing down."""


if __name__ == "__main__":
    Accounts.admit = admit  # type: ignore[method-assign]
    Accounts.settle = settle  # type: ignore[method-assign]
    sys.exit(cli.main())
