"""What a request may use, and what it used: limits before and meanwhile, the ledger after."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from paddock.errors import PaddockError
from paddock.gateway.http import Request
from paddock.gateway.keyring import Keyring
from paddock.gateway.ledger import LedgerWriter
from paddock.gateway.limit_words import estimate
from paddock.gateway.limits import Limiter
from paddock.gateway.metrics import Metrics
from paddock.gateway.nobody import unsent
from paddock.inference.log_lines import request_id
from paddock.inference.routing import Deployment
from paddock.schemas.limits import Limits
from paddock.schemas.usage import Entry
from paddock.services.keys import Key
from paddock.services.platform import Platform
from paddock.services.prices import Price

if TYPE_CHECKING:
    from paddock.gateway.tracing import Tracer

ANSWERED = "ok"


class Accounts:
    """Of one process.

    Args:
        identity: of this process, unique.
        metrics: of this process, which count the rows of batches and the ledger's too.

    Attributes:
        tracer: of this process, for the rows of batches too; None if nobody wants traces.
    """

    def __init__(self, platform: Platform, keyring: Keyring, identity: str, metrics: Metrics) -> None:
        self._keyring = keyring
        self._prices = platform.prices
        self._limiter = Limiter(platform.ledger, identity)
        self.ledger = LedgerWriter(platform.ledger, self._limiter.written)
        self.metrics = metrics
        metrics.watch(self.ledger)
        self.tracer: Tracer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(run) for run in (self.ledger.run(), self._limiter.run())]

    async def close(self) -> None:
        """Writes what is not written, and gives back what is held."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self.ledger.close()
        await self._limiter.close()
        if self.tracer is not None:
            await self.tracer.close()

    async def admit(self, request: Request, max_tokens: int | None) -> None:
        """Lets the request through to its model, or waits with it for a slice of a limit.

        Args:
            max_tokens: that its answer may have; None if it does not say.

        Raises:
            RateLimited: a limit of its key or project is reached.
            BudgetSpent: what one of them may cost is spent.
            Unavailable: the ledger cannot be asked whether there is something left.
        """
        key, project = request.key, self._keyring.limits_of(request.project)
        if request.job:
            # Nobody waits for a row of a batch, which goes at its own pace; what it costs counts.
            key, project = dataclasses.replace(key, limits=_budget(key.limits)), _budget(project)
        if not (key.limits or project):
            return
        tokens = estimate(len(request.body), max_tokens, self._limiter.usual(key))
        request.hold = await self._limiter.admit(key, request.project, project, tokens)

    def price(self, deployment: Deployment) -> Price:
        base = deployment.base or deployment
        return self._prices.of(base.model or base.name, deployment.name if deployment.adapter else "")

    def settle(self, request: Request, seconds: float) -> None:
        """The request is over: what it used is written down.

        Args:
            seconds: that it took.
        """
        record, key = request.record, request.key
        deployment = record.deployment
        if deployment is None:
            return
        base = deployment.base or deployment
        model, adapter = base.model or base.name, deployment.name if deployment.adapter else ""
        prompt, cached, completion = record.prompt_tokens, record.cached_tokens, record.completion_tokens
        record.cost = cost = self._prices.of(model, adapter).cost(prompt, cached, completion)
        self.ledger.add(
            Entry(
                request.id,
                time.time(),
                key.project,
                key.id,
                model,
                adapter,
                base.name,
                request.job,
                record.outcome or ANSWERED,
                record.status,
                record.streamed,
                prompt,
                cached,
                completion,
                seconds,
                record.first_token,
                cost,
            )
        )
        if request.hold is not None:
            request.hold.end(prompt + completion, cost)

    def key(self, project: str, identity: str) -> Key:
        """The key of this id, as it is now; one that is not known has no limits."""
        return self._keyring.by_id(identity) or Key(identity, project)


async def admit(request: Request, deployment: Deployment, max_tokens: int | None) -> None:
    """From here on the request is one to this deployment, and is accounted for.

    Raises:
        As `Accounts.admit`.
    """
    record = request.record
    record.model = deployment.name
    if request.accounts is not None:
        await request.accounts.admit(request, max_tokens)
    record.deployment = deployment


@contextlib.asynccontextmanager
async def row(accounts: Accounts | None, path: str, spec: Mapping[str, Any]) -> AsyncIterator[Request]:
    """The request for one row of a batch, which is accounted for when it is over.

    Args:
        accounts: None counts nothing.
        spec: of the batch: its `job`, and the `project` and `key_id` that it belongs to.
    """
    request = unsent(path)
    if accounts is None:
        yield request
        return
    request.accounts, request.job = accounts, spec["job"]
    request.key = accounts.key(spec["project"], spec["key_id"])
    record = request.record
    record.route = path
    request_id.set(request.id)
    if accounts.tracer is not None:
        accounts.tracer.begin()
    try:
        yield request
        record.status = 200
    except PaddockError as error:
        record.status, record.outcome = error.status, error.code
        raise
    except BaseException:
        record.outcome = "aborted"
        raise
    finally:
        seconds = time.perf_counter() - request.started
        accounts.settle(request, seconds)
        accounts.metrics.count_work(record)
        if accounts.tracer is not None:
            accounts.tracer.finish(request, seconds)


def _budget(limits: Limits) -> Limits:
    return Limits(budget=limits.budget, budget_period=limits.budget_period)
