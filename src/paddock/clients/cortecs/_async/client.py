"""The Cortecs client: instances of models on hardware of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from paddock.clients import transport
from paddock.clients.cortecs import calls
from paddock.clients.cortecs.access import open_access
from paddock.clients.cortecs.arguments import asked, best_fit, named, resolved
from paddock.clients.cortecs.error import CortecsError, Unauthorized, from_failure
from paddock.clients.cortecs.progress import ProgressLine
from paddock.clients.cortecs.waiting import Patience, runs, still_pending
from paddock.schemas.cortecs import (
    HardwareType,
    Instance,
    InstanceStatus,
    Model,
    ModelPreview,
    WorkerStatus,
)

if TYPE_CHECKING:
    from paddock.clients.transport import AsyncTransport, Call

T = TypeVar("T")


class AsyncCortecs:
    """Starts, finds and stops instances on a server that speaks the Cortecs dialect.

    The arguments, defaults and meanings are those of the published client (`cortecs-py` 0.1.2); where
    0.0.11 called the model `model_id`, that name is taken too. Every method raises `CortecsError`.

    Args:
        client_id: for a token; by default the environment's CORTECS_CLIENT_ID.
        client_secret: its secret; by default CORTECS_CLIENT_SECRET. Without both, no token is sent, and it
            is the server that says whether it wants one.
        api_base_url: where the server is, such as http://127.0.0.1:8800/cortecs/api/v1; by default
            CORTECS_API_BASE_URL, or Cortecs' own platform.
        request_timeout: seconds without a byte from the server after which a request fails, and within
            which it is sent again; None waits for ever.
        progress: whether to show on standard error how far an instance is that is waited for; None means
            if that is a terminal.
    """

    def __init__(
        self,
        client_id: str | None = None,
        client_secret: str | None = None,
        api_base_url: str | None = None,
        *,
        request_timeout: float | None = 50,
        progress: bool | None = None,
    ) -> None:
        self._access = open_access(client_id, client_secret, api_base_url, request_timeout)
        self.api_base_url = self._access.base_url
        self.progress = progress

    async def start(
        self,
        model_name: str | None = None,
        hardware_type_id: str | None = None,
        context_length: int | None = None,
        billing_interval: str | None = None,
        num_workers: int | None = None,
        *,
        model_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        poll: bool = True,
        poll_interval: float = 5,
        max_retries: int = 150,
        progress: bool | None = None,
    ) -> Instance:
        """Start a new instance.

        Args:
            model_name: the model's name or id: `paddock/foal` or `paddock--foal`.
            hardware_type_id: where it runs; by default what the server recommends for the model.
            context_length: tokens of context; by default the smaller of 32,000 and the model's own.
            billing_interval: "per_minute" (the default) or "per_hour".
            num_workers: how many copies of the model answer; 1 by default.
            model_id: another name of `model_name`.
            labels: kept with the instance by servers that know labels.
            poll: whether to wait until it runs.
            poll_interval: most seconds between two looks at it.
            max_retries: after as many looks, and as many times `poll_interval`, the wait ends.
            progress: as the client's own, for this call.

        Raises:
            InstanceStopped: it could not be started; the message has the server's reason.
            StillPending: it did not run in time. It goes on starting: stop it or poll it.
        """
        patience = Patience(poll_interval, max_retries)
        args = asked(
            model_name,
            model_id,
            hardware_type_id=hardware_type_id,
            context_length=context_length,
            billing_interval=billing_interval,
            num_workers=num_workers,
        )
        instance = await self._send(calls.start(args, labels))
        return await self._wait(instance.instance_id, patience, progress) if poll else instance

    async def restart(
        self,
        instance_id: str,
        *,
        poll: bool = True,
        poll_interval: float = 5,
        max_retries: int = 150,
        progress: bool | None = None,
    ) -> Instance:
        """Start a stopped instance again, with the arguments that it had.

        Raises:
            Conflict: it is not stopped.
            InstanceStopped, StillPending: as from `start`.
        """
        patience = Patience(poll_interval, max_retries)
        instance = await self._send(calls.restart(instance_id))
        return await self._wait(instance.instance_id, patience, progress) if poll else instance

    async def ensure_instance(
        self,
        model_name: str | None = None,
        hardware_type_id: str | None = None,
        context_length: int | None = None,
        billing_interval: str | None = None,
        num_workers: int | None = None,
        *,
        model_id: str | None = None,
        poll: bool = True,
        poll_interval: float = 5,
        max_retries: int = 150,
        progress: bool | None = None,
    ) -> Instance:
        """An instance with these arguments: one that runs, else one that starts, else a stopped one
        restarted, else a new one.

        Raises:
            BadRequest: the model does not run on that hardware, or not with that much context.
            InstanceStopped, StillPending: as from `start`.
        """
        patience = Patience(poll_interval, max_retries)
        args = asked(
            model_name,
            model_id,
            hardware_type_id=hardware_type_id,
            context_length=context_length,
            billing_interval=billing_interval,
            num_workers=num_workers,
        )
        wanted = resolved(args, await self.get_model(args.model_id))
        instance = best_fit(await self.get_all_instances(), wanted)
        if instance is None:
            instance = await self._send(calls.start(wanted, None))
        elif instance.instance_status.status == "stopped":
            instance = await self._send(calls.restart(instance.instance_id))
        elif runs(instance):
            return instance
        return await self._wait(instance.instance_id, patience, progress) if poll else instance

    async def poll_instance(
        self,
        instance_id: str,
        poll_interval: float = 5,
        max_retries: int = 150,
        *,
        progress: bool | None = None,
    ) -> Instance:
        """Wait until an instance runs.

        It is looked at every 0.2 s at first and ever less often, up to `poll_interval` seconds apart. A
        server that goes away meanwhile is waited for too, for 30 s.

        Raises:
            InstanceStopped, StillPending: as from `start`.
        """
        return await self._wait(instance_id, Patience(poll_interval, max_retries), progress)

    async def get_instance(self, instance_id: str) -> Instance:
        """An instance by its id."""
        return await self._send(calls.get_instance(instance_id))

    async def get_instance_status(self, instance_id: str) -> InstanceStatus:
        """The status of an instance by its id."""
        return (await self.get_instance(instance_id)).instance_status

    async def get_worker_statuses(self, instance_id: str) -> list[WorkerStatus]:
        """The statuses of an instance's workers."""
        return (await self.get_instance(instance_id)).worker_statuses

    async def get_all_instances(self) -> list[Instance]:
        """All instances, whatever their status."""
        return await self._send(calls.get_all_instances())

    async def get_running_instances(self) -> list[Instance]:
        """All instances that run."""
        return [each for each in await self.get_all_instances() if each.instance_status.status == "running"]

    async def stop(self, instance_id: str) -> Instance:
        """Stop an instance. It is kept, and can be restarted.

        Raises:
            Conflict: it is stopped already.
        """
        return await self._send(calls.stop(instance_id))

    async def stop_all(self) -> list[str]:
        """Stop all running instances; gives their ids."""
        return await self._send(calls.stop_all())

    async def delete(self, instance_id: str) -> str:
        """Delete a stopped instance; gives its id.

        Raises:
            Conflict: it is not stopped.
        """
        return await self._send(calls.delete(instance_id))

    async def delete_all(self, *, force: bool = False) -> list[str]:
        """Delete all stopped instances, with `force` all instances; gives their ids."""
        return await self._send(calls.delete_all(force))

    async def get_all_models(self) -> list[ModelPreview]:
        """The models of which instances can be started. Needs no credentials."""
        return await self._send(calls.get_all_models(), public=True)

    async def get_model(self, model_name: str) -> Model:
        """A model by its name or id, with what can be chosen for it. Needs no credentials."""
        return await self._send(calls.get_model(named(model_name, None)), public=True)

    async def get_all_hardware_types(self) -> list[HardwareType]:
        """All hardware types, with their prices. Needs no credentials."""
        return await self._send(calls.get_all_hardware_types(), public=True)

    async def get_available_hardware_types(self) -> list[HardwareType]:
        """The hardware types on which an instance can be started now. Needs no credentials."""
        return await self._send(calls.get_available_hardware_types(), public=True)

    async def _wait(self, instance_id: str, patience: Patience, progress: bool | None) -> Instance:
        began = seen = time.monotonic()
        looks = 0
        instance: Instance | None = None
        with ProgressLine(self.progress if progress is None else progress) as line:
            while True:
                looks += 1
                try:
                    instance = await self.get_instance(instance_id)
                    seen = time.monotonic()
                except CortecsError as error:
                    if instance is None or not patience.tolerates(error, time.monotonic() - seen):
                        raise
                running = runs(instance)
                waited = time.monotonic() - began
                line.update(instance, waited)
                if running:
                    return instance
                pause = patience.pause(looks, waited)
                if pause is None:
                    raise still_pending(instance, waited)
                await asyncio.sleep(pause)

    async def _send(self, call: Call[T], *, public: bool = False) -> T:
        if public or not self._access.has_credentials():
            try:
                return await self._transport(None).request(call)
            except Unauthorized as error:
                self._access.explain(error)
                raise
        token = await self._token()
        try:
            return await self._transport(token).request(call)
        except Unauthorized:
            # A server that was started anew may know no older token; it did nothing, so asking again is safe.
            self._access.forget(token)
        return await self._transport(await self._token()).request(call)

    async def _token(self) -> str:
        now = time.monotonic()
        token = self._access.token_at(now)
        if token is None:
            call = calls.token(self._access.client_id, self._access.client_secret)
            token = self._access.keep(await self._transport(None).request(call), now)
        return token

    def _transport(self, token: str | None) -> AsyncTransport:
        access = self._access
        return transport.AsyncTransport(access.base_url, from_failure, api_key=token, timeout=access.timeout)
