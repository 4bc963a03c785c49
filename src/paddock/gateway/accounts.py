"""What a request may use, and what it used: limits before and meanwhile, the ledger after."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paddock.errors import BudgetSpent, PaddockError, RateLimited, Unavailable
from paddock.gateway.http import Request
from paddock.gateway.keyring import Keyring
from paddock.gateway.ledger import LedgerWriter
from paddock.gateway.limit_plans import Plan
from paddock.gateway.limit_words import prompt_tokens
from paddock.gateway.limits import Limiter
from paddock.gateway.metrics import Metrics
from paddock.gateway.nobody import unsent
from paddock.gateway.visible import require
from paddock.inference.log_lines import request_id
from paddock.inference.routing import Deployment
from paddock.services.keys import Key
from paddock.services.platform import Platform
from paddock.services.prices import FREE, MILLION, Price

if TYPE_CHECKING:
    from paddock.gateway.tracing import Tracer

ANSWERED = "ok"
_REMEMBERED = 4096
"""Deployments and keys of which is remembered what is found out of them; some are long gone."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What the ledger says of requests to a deployment.

    Attributes:
        base, of: the deployment that serves it and what that was serving when this was made.
        prompt_each, answer_each: what a token costs, about, in billionths of the currency.
    """

    base: Deployment
    of: str
    model: str
    adapter: str
    deployment: str
    price: Price
    prompt_each: float
    answer_each: float


class Accounts:
    """Of one process.

    Args:
        identity: of this process, unique.
        metrics: of this process, which count the rows of batches and the ledger's too.
        tracer: of this process, for the rows of batches too; None if nobody wants traces. Ends with this.
    """

    def __init__(
        self,
        platform: Platform,
        keyring: Keyring,
        identity: str,
        metrics: Metrics,
        tracer: Tracer | None = None,
    ) -> None:
        self._keyring = keyring
        self._prices = platform.prices
        self._bills: dict[Deployment, Bill] = {}
        # By the key's id, as that version of the keyring has it.
        self._plans: dict[str, Plan] = {}
        self._version = 0
        self._limiter = Limiter(platform.ledger, identity, currency=platform.prices.currency)
        self.ledger = LedgerWriter(platform.ledger, self._limiter.written)
        self.metrics = metrics
        metrics.watch(self.ledger)
        self.tracer = tracer
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

    def admit(
        self, request: Request, deployment: Deployment, max_tokens: int | None, answers: int
    ) -> Coroutine[Any, Any, None] | None:
        """Lets the request through to its model, nearly always at once.

        Args:
            max_tokens: that each answer may have; None if it does not say.
            answers: how many there are to be.

        Returns:
            None if it is through; else what is to be awaited before it is. That raises `RateLimited` if a
            limit of its key or project is reached, `BudgetSpent` if what one of them may cost is spent, and
            `Unavailable` if the ledger cannot be asked whether there is something left.
        """
        plan = self._plans.get(request.key.id) if self._version == self._keyring.version else None
        if plan is None or plan.forgotten or request.job:
            plan = self._new_plan(request)
        if not plan.slices:
            return None
        # Everybody else would be kept from what a client asks for beyond what its model can.
        answer, most, cost = max_tokens, deployment.context_length, None
        if answer is None:
            answer = plan.answer.most
        elif 0 < most < answer:
            answer = most
        prompt, answer = prompt_tokens(len(request.body)), answer * answers
        if plan.budgets and max_tokens is not None:
            request.bill = bill = self._bill(deployment)
            # Rounded up: what it really costs is exact, and no floats.
            cost = int(prompt * bill.prompt_each + answer * bill.answer_each) + 1
        request.hold = hold = self._limiter.at_once(plan, prompt + answer, cost)
        if hold is None:
            return self._wait(request, plan, prompt + answer, cost)
        # A lane reserves all of it.
        request.paid = cost is not None
        return None

    async def _wait(self, request: Request, plan: Plan, tokens: int, cost: int | None) -> None:
        request.hold = hold = await self._limiter.admit(plan, tokens, cost)
        request.paid = cost is not None and hold is not None and hold.reserved >= cost

    def _new_plan(self, request: Request) -> Plan:
        """What the request needs of limits."""
        # The key may have changed since the request came.
        key = self.key(request.key.project, request.key.id)
        # Nobody waits for a row of a batch, which goes at its own pace; what it costs counts.
        plan = self._limiter.plan(key, self._keyring.limits_of(key.project), only_budget=bool(request.job))
        if request.job:
            return plan
        if self._version != self._keyring.version or len(self._plans) >= _REMEMBERED:
            self._plans.clear()
            self._version = self._keyring.version
        self._plans[key.id] = plan
        return plan

    def price(self, deployment: Deployment) -> Price:
        return self._bill(deployment).price

    def settle(self, request: Request, seconds: float) -> None:
        """The request is over: what it used is written down.

        Args:
            seconds: that it took.
        """
        record, key = request.record, request.key
        deployment = record.deployment
        if deployment is None:
            if request.hold is not None:
                request.hold.end(0, 0)
            return
        bill = request.bill or self._bill(deployment)
        prompt, cached, completion = record.prompt_tokens, record.cached_tokens, record.completion_tokens
        cost = 0 if bill.price is FREE else bill.price.cost(prompt, cached, completion)
        record.cost = cost
        # In the order of an entry, whose own constructor takes three times as long.
        self.ledger.add(
            (
                request.id,
                time.time(),
                key.project,
                key.id,
                bill.model,
                bill.adapter,
                bill.deployment,
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
            request.hold.end(prompt + completion, cost, completion)

    def _bill(self, deployment: Deployment) -> Bill:
        bill = self._bills.get(deployment)
        base = deployment.base or deployment
        if bill is None or bill.base is not base or bill.of is not base.model:
            model, adapter = base.model or base.name, deployment.name if deployment.adapter else ""
            price = self._prices.of(model, adapter)
            if len(self._bills) >= _REMEMBERED:
                self._bills.clear()
            each = price.prompt / MILLION, price.completion / MILLION
            bill = self._bills[deployment] = Bill(base, base.model, model, adapter, base.name, price, *each)
        return bill

    def key(self, project: str, identity: str) -> Key:
        """The key of this id, as it is now; one that is not known has no limits."""
        return self._keyring.by_id(identity) or Key(identity, project)


async def admit(request: Request, deployment: Deployment, max_tokens: int | None, answers: int = 1) -> None:
    """From here on the request is one to this deployment, and is accounted for.

    Args:
        max_tokens, answers: see `Accounts.admit`.

    Raises:
        Forbidden: it is a row of a batch whose key is not for that model.
        As what `Accounts.admit` returns.
    """
    record = request.record
    record.model = deployment.name
    if request.job:
        # What a batch asks was found without its key.
        require(request.key, deployment.name, deployment.model, deployment.id)
    accounts = request.accounts
    if accounts is not None:
        waits = accounts.admit(request, deployment, max_tokens, answers)
        if waits is not None:
            await waits
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
        if isinstance(error, RateLimited | Unavailable) and not isinstance(error, BudgetSpent):
            # It is asked again: so often it is one request.
            record.deployment = None
        raise
    except asyncio.CancelledError:
        record.outcome = "aborted"
        raise
    except BaseException:
        record.status, record.outcome = PaddockError.status, PaddockError.code
        raise
    finally:
        seconds = time.perf_counter() - request.started
        accounts.settle(request, seconds)
        accounts.metrics.count_work(record)
        if accounts.tracer is not None:
            accounts.tracer.finish(request, seconds)
