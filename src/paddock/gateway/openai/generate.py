"""Chat and plain completions: one request in, one or several to the engine, one answer out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from paddock.engines.parameters import Plan, plan
from paddock.errors import PaddockError
from paddock.gateway import callbacks, whole
from paddock.gateway.accounts import admit
from paddock.gateway.callbacks import Heard
from paddock.gateway.collect import merge_answers, merge_usage
from paddock.gateway.counting import count_parts, finish_stream
from paddock.gateway.engine_errors import refused
from paddock.gateway.http import Request, Response
from paddock.gateway.metered import metered_translator, new_meter
from paddock.gateway.openai.answers import Shape
from paddock.gateway.openai.merge import Merged
from paddock.gateway.openai.streams import Relayed, Rewritten
from paddock.gateway.openai.tools import as_chunks, forced_tool_calls
from paddock.gateway.sse import HEADERS, Ending, dump_event
from paddock.inference import relay
from paddock.inference.relay import EngineRefused, StreamOutcome, Translator
from paddock.inference.routing import Deployment, Routes

JSON = dict[str, Any]


async def generate(
    request: Request, fields: JSON, routes: Routes, *, chat: bool, fireworks: bool, ending: Ending
) -> Response | None:
    """Answers a checked request; a stream is sent from here, and None returned.

    Raises:
        PaddockError: the request cannot be answered, and nothing was sent.
    """
    deployment = routes.resolve(fields["model"])
    record = request.record
    most = fields.get("max_completion_tokens") or fields.get("max_tokens")
    await admit(request, deployment, most, _answers(fields))
    try:
        planned = await plan(deployment, fields, chat=chat)
        exchange = _Exchange(request, deployment, planned, chat, fireworks, ending)
        if planned.stream:
            record.streamed = True
            await exchange.stream()
            return None
        response = await exchange.answer()
        if callbacks.wanted(request, deployment):
            await callbacks.tell(request, deployment, orjson.loads(response.body))
        return response
    except EngineRefused as error:
        raise refused(error, "messages" if chat else "prompt") from None


def _answers(fields: JSON) -> int:
    """How many are asked for, of all prompts together."""
    prompt = fields.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    return prompts * max(fields.get("n") or 1, fields.get("best_of") or 1)


class _Exchange:
    """What one request knows while it is answered."""

    def __init__(
        self,
        request: Request,
        deployment: Deployment,
        planned: Plan,
        chat: bool,
        fireworks: bool,
        ending: Ending,
    ) -> None:
        self.request = request
        self.deployment = deployment
        self.plan = planned
        self.chat = chat
        self.fireworks = fireworks
        self.ending = ending
        self.shape = Shape(deployment.name, chat, fireworks, planned.top_logprobs)
        self.path = whole.path(chat)
        self.heard: list[Heard] = []

    # ---- whole answers

    async def answer(self) -> Response:
        if not self.plan.collect and not self.plan.brief:
            return await self._passed_on()
        answer = await whole.answer(self.request, self.deployment, self.plan, chat=self.chat)
        if self.plan.forced_tool:
            answer = forced_tool_calls(answer, self.request.id)
        return Response(orjson.dumps(self._shape({**answer, "id": self._id()})))

    async def _passed_on(self) -> Response:
        raw, answer = await whole.fetch(self.request, self.deployment, self.plan, chat=self.chat)
        shaped = self._shape(answer)
        return Response(raw if shaped is answer else orjson.dumps(shaped))

    def _shape(self, answer: JSON) -> JSON:
        """The answer in the caller's dialect; the very same object if nothing had to change."""
        try:
            for choice in answer["choices"] if self.plan.echo else ():
                choice["text"] = self.plan.echo[choice["index"] // self.plan.choices_each] + choice["text"]
            if self.fireworks or self.plan.rewrite or self.plan.echo or answer["model"] != self.shape.model:
                return self.shape.whole(answer, self._echo_lengths())
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise relay.broken_answer(f"{type(error).__name__} while reading it") from error
        return answer

    def _id(self) -> str:
        return ("chatcmpl-" if self.chat else "cmpl-") + self.request.id

    def _echo_lengths(self) -> dict[int, int]:
        each = self.plan.choices_each
        return {
            prompt * each + index: len(text)
            for prompt, text in enumerate(self.plan.echo)
            for index in range(each)
        }

    # ---- streams

    async def stream(self) -> None:
        headers = HEADERS % self.request.answer_headers
        connection = self.request.connection
        if self.plan.forced_tool:
            await self._stream_forced_tool(headers)
            return
        parts = self.plan.parts
        if len(parts) == 1 and not self.plan.echo:
            translator = self._translator(self.plan.include_usage)
            outcome = StreamOutcome(connection, headers, self._heard(self._metered(translator)))
            try:
                await relay.stream(self.deployment, self.path, parts[0].body, outcome)
                self._call_back(outcome.error)
            finally:
                self._count_parts([translator])
                finish_stream(self.request, outcome.first, outcome.error)
            return
        await self._stream_merged(headers)

    def _translator(self, include_usage: bool) -> Relayed | Rewritten:
        if not self.fireworks and not self.plan.rewrite and self.ending.done:
            names = (self.deployment.engine_model, self.deployment.name)
            return Relayed(include_usage, None if names[0] == names[1] else names)
        return Rewritten(
            self._rewriter(),
            include_usage=include_usage and not self.fireworks,
            hold_last=self.fireworks,
            ending=self.ending,
        )

    def _rewriter(
        self, shift: int = 0, identity: JSON | None = None
    ) -> Callable[[JSON, dict[int, int]], JSON]:
        """Shapes a chunk; `shift` moves choice indexes and `identity` unites merged parts."""
        lengths = self._echo_lengths()

        def rewrite(chunk: JSON, offsets: dict[int, int]) -> JSON:
            choices: list[JSON] = []
            before: dict[int, int] = {}
            for choice in chunk.get("choices") or ():
                index = choice.get("index", 0)
                choices.append({**choice, "index": index + shift})
                before[index + shift] = offsets.get(index, 0) + lengths.get(index + shift, 0)
            return self.shape.chunk({**chunk, "choices": choices, **(identity or {})}, before)

        return rewrite

    async def _stream_merged(self, headers: bytes) -> None:
        """Several requests to the engine, one stream to the caller."""
        identity: JSON = {"id": self._id(), "created": int(time.time())}
        merged = Merged(self.request.connection, headers, self.ending)
        for prompt, text in enumerate(self.plan.echo):
            for index in range(self.plan.choices_each):
                position = prompt * self.plan.choices_each + index
                choice = {"index": position, "text": text, "finish_reason": None}
                chunk = {**identity, "object": "text_completion", "choices": [choice]}
                merged.preface.append(self._rewriter()(chunk, {}))
        translators: list[Rewritten] = []
        meter = new_meter(self.request, translators, self.plan.choices_each)
        for part in self.plan.parts:
            rewriter = self._rewriter(part.index, identity)
            last_usage = self._last_usage(translators)
            translators.append(
                Rewritten(rewriter, hold_last=self.fireworks, ending=None, last_usage=last_usage)
            )
        outcomes = [
            StreamOutcome(merged.part(), headers, self._heard(metered_translator(translator, meter)))
            for translator in translators
        ]
        streams = [
            relay.stream(self.deployment, self.path, part.body, outcome)
            for part, outcome in zip(self.plan.parts, outcomes, strict=True)
        ]
        error: PaddockError | None = None
        try:
            await whole.gather(streams)
            error = next((outcome.error for outcome in outcomes if outcome.error is not None), None)
        except EngineRefused as refusal:
            error = refused(refusal, "messages" if self.chat else "prompt")
        except PaddockError as failure:
            error = failure
        finally:
            self._count_parts(translators)
            finish_stream(self.request, merged.first, error)
        if error is not None and not merged.started:
            raise error
        usage = merge_usage([translator.usage for translator in translators], self.plan.choices_each)
        wanted = usage if self.plan.include_usage and not self.fireworks else None
        shell = {**identity, "object": "chat.completion.chunk" if self.chat else "text_completion"}
        merged.close(
            error,
            {**shell, "model": self.deployment.name, "choices": [], "usage": wanted} if wanted else None,
        )
        finish_stream(self.request, merged.first, error)
        self._call_back(error)

    def _last_usage(self, translators: Sequence[Rewritten]) -> Callable[[], JSON | None]:
        """Of several parts only the one that ends last tells the usage, and that of all."""

        def usage() -> JSON | None:
            if any(not translator.released for translator in translators):
                return None
            return merge_usage([translator.usage for translator in translators], self.plan.choices_each)

        return usage

    async def _stream_forced_tool(self, headers: bytes) -> None:
        """A call is only known to be one when its JSON is whole, so it is sent in one piece."""
        answer = await whole.collect(self.request, self.deployment, self.plan, chat=self.chat)
        answer = {**forced_tool_calls(answer, self.request.id), "id": self._id()}
        chunks = [
            self.shape.chunk(chunk, {})
            for chunk in as_chunks(answer, self.plan.include_usage, self.fireworks)
        ]
        connection = self.request.connection
        connection.start_stream(200, headers)
        connection.write(b"".join(dump_event(chunk) for chunk in chunks) + self.ending.done)
        connection.end_stream()
        finish_stream(self.request, time.perf_counter(), None)
        if callbacks.wanted(self.request, self.deployment):
            callbacks.tell_soon(self.request, self.deployment, lambda: self._shape(answer))

    def _metered(self, translator: Relayed | Rewritten) -> Translator:
        return metered_translator(translator, new_meter(self.request, [translator]))

    def _heard(self, translator: Translator) -> Translator:
        """What hears the answer besides, if it is for somebody else too."""
        if not callbacks.wanted(self.request, self.deployment):
            return translator
        self.heard.append(Heard(translator, chat=self.chat))
        return self.heard[-1]

    def _call_back(self, error: PaddockError | None) -> None:
        if self.heard and error is None:
            callbacks.tell_soon(self.request, self.deployment, self._whole)

    def _whole(self) -> JSON:
        """The streamed answer as it would have been in one piece."""
        answers = [one.answer() for one in self.heard]
        answer = answers[0] if len(answers) == 1 else merge_answers(answers, self.plan.choices_each)
        return self._shape({**answer, "id": self._id()})

    def _count_parts(self, parts: Sequence[Relayed | Rewritten]) -> None:
        count_parts(self.request, parts, choices_each=self.plan.choices_each)
