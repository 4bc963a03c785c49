"""What a request may use, and what it used: limits before and meanwhile, the ledger after."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from paddock.errors import BudgetSpent, PaddockError, RateLimited, Unavailable
from paddock.gateway.http import Record, Request
from paddock.gateway.keyring import Keyring
from paddock.gateway.ledger import LedgerWriter
from paddock.gateway.limit_holds import Hold, LaneHold
from paddock.gateway.limit_lanes import Lane
from paddock.gateway.limit_plans import Plan
from paddock.gateway.limit_words import BYTES_PER_TOKEN, prompt_tokens
from paddock.gateway.limits import Limiter
from paddock.gateway.metrics import Metrics
from paddock.gateway.nobody import unsent
from paddock.gateway.visible import require
from paddock.inference.log_lines import request_id
from paddock.inference.routing import Deployment
from paddock.schemas.usage import Series
from paddock.services.keys import Key
from paddock.services.platform import Platform
from paddock.services.prices import FREE, MILLION, Price

if TYPE_CHECKING:
    from paddock.gateway.tracing import Tracer

log = logging.getLogger(__name__)

ANSWERED = "ok"
OK = 200
_REMEMBERED = 4096
"""Keys, batches and deployments of which is remembered what is found out of them; some are long gone."""


@dataclass(slots=True)
class Bill:
    """On which terms a key, or a batch for it, asks a deployment, and what the ledger says of that.

    Attributes:
        plan: its limits.
        base, of: the deployment that serves it and what that was serving when this was made.
        adapted: the same deployment if an adapter of it is asked.
        prompt_each, answer_each: what a token costs at most, in billionths of the currency.
        answered, streamed: what nearly all of it is, whole answers and streams.
        others: what else there was, by its outcome, status, and whether it was streamed.
        lane, room: by which the last request came, and what comes by it without more ado: see `Lane.room`.
    """

    plan: Plan
    base: Deployment
    of: str
    adapted: Deployment | None
    price: Price
    prompt_each: int
    answer_each: int
    answered: Series
    streamed: Series
    others: dict[tuple[str, int, bool], Series] = field(default_factory=dict)
    lane: Lane | None = None
    room: int = -1

    def other(self, record: Record) -> Series:
        """What the ledger says of a request that was not just answered."""
        kind = (record.outcome or ANSWERED, record.status, record.streamed)
        found = self.others.get(kind)
        if found is None:
            outcome, status, streamed = kind
            found = replace(self.answered, outcome=outcome, status=status, streamed=streamed)
            self.others[kind] = found
        return found


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
        # By the id of the key or the batch, as the keyring has it now.
        self._bills: dict[str, dict[Deployment, Bill]] = {}
        keyring.on_change.append(self._bills.clear)
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
        try:
            bill = self._bills[request.job or request.key.id][deployment]
        except KeyError:
            bill = self._new_bill(request, deployment)
        if bill.adapted is not deployment.base or bill.of is not bill.base.model:
            bill = self._new_bill(request, deployment)
        request.bill = bill
        if not bill.plan.slices:
            return None
        if max_tokens is not None:
            # Nearly all requests go this way, on which calls would cost more than all else.
            lane = bill.lane
            if (
                len(request.body) + BYTES_PER_TOKEN * max_tokens * answers <= bill.room
                and lane is not None
                and lane.requests
                and time.time() < lane.until
            ):
                lane.requests -= 1
                request.hold = lane
                return None
        return self._by_limits(request, bill, deployment, max_tokens, answers)

    def _by_limits(
        self, request: Request, bill: Bill, deployment: Deployment, max_tokens: int | None, answers: int
    ) -> Coroutine[Any, Any, None] | None:
        """`admit` for a request that does not fit the lane of the last one."""
        plan = bill.plan
        tokens, cost = prompt_tokens(len(request.body)), None
        if max_tokens is None:
            tokens += plan.answer.most * answers
        else:
            if max_tokens > deployment.context_length > 0:
                # Everybody else would be kept from what a client asks for beyond what its model can.
                max_tokens = deployment.context_length
            answer = max_tokens * answers
            cost = tokens * bill.prompt_each + answer * bill.answer_each if plan.budgets else 0
            tokens += answer
        each = max(bill.prompt_each, bill.answer_each)
        hold = self._limiter.at_once(plan, tokens, cost, each)
        if hold is None:
            return self._wait(request, deployment, tokens, cost)
        request.hold = hold
        if bill.lane is not plan.lane and (lane := plan.lane) is not None:
            bill.lane, bill.room = lane, lane.room(each)
        return None

    async def _wait(self, request: Request, deployment: Deployment, tokens: int, cost: int | None) -> None:
        bill = request.bill
        if bill is None or bill.plan.forgotten:
            bill = request.bill = self._new_bill(request, deployment)
        request.hold = await self._limiter.admit(bill.plan, tokens, cost)

    def _new_bill(self, request: Request, deployment: Deployment) -> Bill:
        # The key may have changed since the request came.
        key = self.key(request.key.project, request.key.id)
        # Nobody waits for a row of a batch, which goes at its own pace; what it costs counts.
        plan = self._limiter.plan(key, self._keyring.limits_of(key.project), only_budget=bool(request.job))
        base = deployment.base or deployment
        model, adapter = base.model or base.name, deployment.name if deployment.adapter else ""
        answered = Series(
            key.project, key.id, model, adapter, base.name, request.job, ANSWERED, OK, streamed=False
        )
        price = self._prices.of(model, adapter)
        # Rounded up: what an answer really costs is exact.
        each = -(-price.prompt // MILLION), -(-price.completion // MILLION)
        streamed = replace(answered, streamed=True)
        bill = Bill(plan, base, base.model, deployment.base, price, *each, answered, streamed)
        if len(self._bills) >= _REMEMBERED:
            self._bills.clear()
        bills = self._bills.setdefault(request.job or key.id, {})
        if len(bills) >= _REMEMBERED:
            bills.clear()
        bills[deployment] = bill
        return bill

    def settle(self, over: Iterable[tuple[Request, float]]) -> None:
        """These requests are over: what they used is written down.

        Args:
            over: with the seconds that each took.
        """
        # As in `admit`, no more is called than must be.
        now, add = time.time(), self.ledger.entries.add
        # Of the last ones, which have it in common.
        last: Hold | Lane | LaneHold | None = None
        count = used = paid = answer = 0
        for request, seconds in over:
            record, bill, hold = request.record, request.bill, request.hold
            prompt = cached = completion = cost = 0
            try:
                if bill is not None and record.deployment is not None:
                    if record.status != OK or record.outcome:
                        series = bill.other(record)
                    else:
                        series = bill.streamed if record.streamed else bill.answered
                    prompt, cached = record.prompt_tokens, record.cached_tokens
                    completion = record.completion_tokens
                    if bill.price is not FREE:
                        record.cost = cost = bill.price.cost(prompt, cached, completion)
                    first = record.first_token
                    add(series, (request.id, now, prompt, cached, completion, seconds, first, cost))
            except Exception:
                # The others must not go without for that.
                log.exception("request %s is not accounted for", request.id)
            if hold is not last:
                _end(last, used, paid, answer, count)
                last = hold
                count = used = paid = 0
            count += 1
            used += prompt + completion
            paid += cost
            answer = completion
        _end(last, used, paid, answer, count)

    def key(self, project: str, identity: str) -> Key:
        """The key of this id, as it is now; one that is not known has no limits."""
        return self._keyring.by_id(identity) or Key(identity, project)


def _end(hold: Hold | Lane | LaneHold | None, tokens: int, cost: int, answer: int, count: int) -> None:
    if hold is not None:
        try:
            hold.end(tokens, cost, answer, count)
        except Exception:
            log.exception("limits do not know of %d requests that are over", count)


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
        accounts.settle([(request, seconds)])
        accounts.metrics.count_work(record)
        if accounts.tracer is not None:
            accounts.tracer.finish(request, seconds)
