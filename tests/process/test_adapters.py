"""Adapters on a real engine: each answers as in PEFT, and none is ever noticed by another's caller."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="compares with PEFT")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

from paddock.engines.engine import AdapterFile  # noqa: E402
from paddock.engines.llama_cpp.convert import convert  # noqa: E402
from paddock.engines.llama_cpp.gguf.adapter import write_adapter  # noqa: E402
from paddock.weights.resolve import resolve  # noqa: E402
from tests.process import hf_models  # noqa: E402
from tests.process.engine import ask, running  # noqa: E402

# PEFT asks for a property that transformers will rename.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Root mean square of the difference of log probabilities; see test_gguf_logits.py. The adapters made here
# change them by several times of that.
TOLERANCE = 0.03
CHANGE = 0.15
TIE = 0.05
BASE = -1
"""Stands for no adapter."""


@dataclass(frozen=True)
class Made:
    """A model with adapters as PEFT has it, and their files as the engine has them."""

    model: Any
    weights: Path
    files: tuple[AdapterFile, ...]
    _known: dict[tuple[int, ...], list[float]] = field(default_factory=dict, repr=False)

    def log_probabilities(self, tokens: list[int], position: int) -> list[float]:
        """Of what comes next."""
        key = (position, *tokens)
        if key not in self._known:
            self._known[key] = torch.log_softmax(self._ask(tokens, position)[0, -1], -1).tolist()
        return self._known[key]

    def shortfalls(self, tokens: list[int], answer: list[int], position: int) -> list[float]:
        """By how much each token of the answer is less likely than the likeliest after those before it, in
        nats: 0 for a greedy answer.
        """
        logits = self._ask([*tokens, *answer], position)[0, len(tokens) - 1 : -1]
        taken = logits.gather(-1, torch.tensor([answer]).T)[:, 0]
        found: list[float] = (logits.max(-1).values - taken).tolist()
        return found

    def _ask(self, tokens: list[int], position: int) -> Any:
        with torch.no_grad():
            if position == BASE:
                with self.model.disable_adapter():
                    return self.model(torch.tensor([tokens])).logits
            self.model.set_adapter(self.files[position].id)
            return self.model(torch.tensor([tokens])).logits


def make(model: Any, base: Path, folder: Path, configs: list[dict[str, Any]], strength: float) -> Made:
    """Adapters with random weights, as PEFT saves them and converted. `base`: the model's checkpoint."""
    torch.manual_seed(11)
    adapted, files = None, []
    for number, changes in enumerate(configs):
        name = f"adapter-{number}"
        config = peft.LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": ALL, **changes})
        if adapted is None:
            adapted = peft.get_peft_model(model, config, adapter_name=name)
        else:
            adapted.add_adapter(name, config)
        for parameter_name, parameter in adapted.named_parameters():
            if f".lora_B.{name}." in parameter_name:
                torch.nn.init.normal_(parameter, 0.0, strength)
        adapted.save_pretrained(folder, selected_adapters=[name])
        files.append(AdapterFile(name, folder / f"{name}.gguf"))
        write_adapter(folder / name, base, files[-1].path)
    assert adapted is not None
    return Made(adapted.eval(), convert(base, folder / "cache", "F16"), tuple(files))


def make_small(family: str, folder: Path, configs: list[dict[str, Any]]) -> Made:
    checkpoint = folder / "checkpoint"
    model = hf_models.save_model(family, checkpoint, torch.float16)
    hf_models.save_tokenizer("qwen2", checkpoint)
    return make(model, checkpoint, folder, configs, 0.05)


def chosen(position: int) -> list[dict[str, Any]]:
    """The field `lora` of a request."""
    return [{"id": 0, "scale": 0.0}] if position == BASE else [{"id": position, "scale": 1.0}]


async def log_probabilities(engine: Any, prompt: list[int], position: int | None = None) -> list[float]:
    """Of what comes next; without a position the request does not say which adapter it wants."""
    body: dict[str, Any] = {"prompt": prompt, "max_tokens": 1, "logprobs": hf_models.VOCAB}
    # A token that is text on its own, or there would be no log probabilities; it does not change them.
    body["logit_bias"] = {"70": 100}
    if position is not None:
        body |= {"lora": chosen(position), "cache_prompt": True}
    status, answer = await ask(engine, "/v1/completions", body)
    assert status == 200, answer
    tops = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    by_id = {top["id"]: top["logprob"] for top in tops}
    return [by_id[token] for token in range(hf_models.VOCAB)]


def distance(one: list[float], other: list[float]) -> float:
    return math.dist(one, other) / math.sqrt(len(one))


def prompt(length: int, seed: int = 0) -> list[int]:
    return [10 + (i * 37 + seed * 101) % 600 for i in range(length)]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The engine has the other core: threads of torch that wait for each other would take it away."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Twenty adapters of one small model."""
    return make_small("llama", tmp_path_factory.mktemp("many"), [{} for _ in range(20)])


class TestLogits:
    @pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")  # of lm_head
    @pytest.mark.parametrize(
        ("family", "configs"),
        [
            (
                "llama",
                [
                    {},
                    {"target_modules": ["q_proj", "k_proj"], "lora_alpha": 32},
                    {"rank_pattern": {"layers.0.*": 2, "1.mlp.*": 8}, "alpha_pattern": {"up_proj": 16}},
                ],
            ),
            (
                "qwen3",
                [
                    {"use_rslora": True, "rank_pattern": {"k_proj": 3}},
                    {"target_modules": [*ALL, "lm_head"]},
                    {"target_modules": "all-linear", "r": 1},
                ],
            ),
            ("mistral", [{}, {"target_modules": ["q_proj", "k_proj"], "lora_alpha": 32}]),
            ("qwen2", [{}]),
            ("llama-biased", [{}]),
        ],
    )
    def test_every_token_is_as_likely_as_in_peft(
        self, family: str, configs: list[dict[str, Any]], tmp_path: Path
    ) -> None:
        made = make_small(family, tmp_path, configs)
        prompts = [prompt(length) for length in (2, 9, 100)]

        async def scenario() -> None:
            async with running(made.weights, tmp_path, adapters=made.files) as engine:
                for tokens in prompts:
                    base = await log_probabilities(engine, tokens, BASE)
                    assert distance(base, made.log_probabilities(tokens, BASE)) < TOLERANCE
                    for position in range(len(configs)):
                        found = await log_probabilities(engine, tokens, position)
                        wanted = made.log_probabilities(tokens, position)
                        assert distance(found, wanted) < TOLERANCE, (len(tokens), configs[position])
                        assert distance(found, base) > CHANGE, (len(tokens), configs[position])

        asyncio.run(scenario())


class TestFoal:
    def test_greedy_answers_are_pefts(self, tmp_path: Path) -> None:
        checkpoint = resolve("foal").path
        model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
        made = make(model, checkpoint, tmp_path, [{}, {"use_rslora": True, "r": 16}], 0.15)
        questions = [
            "Who are you?", "What do horses eat?", "Tell me a story.", "What is the capital of France?",
            "How many legs has a dog?", "Say something kind.", "What is 2 + 3?", "Why is the sky blue?",
            "Write a poem about rain.", "Name a colour.", "What can you do?", "Good morning!",
        ]  # fmt: skip
        chats = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=True
            )["input_ids"]
            for text in questions
        ]

        async def scenario() -> None:
            async with running(made.weights, tmp_path, adapters=made.files) as engine:
                answers, places = set(), []
                for number, tokens in enumerate(chats):
                    for position in (BASE, 0, 1):
                        body = {"prompt": tokens, "n_predict": 16, "temperature": 0}
                        body |= {"lora": chosen(position), "return_tokens": True, "cache_prompt": True}
                        status, answer = await ask(engine, "/completion", body)
                        assert status == 200, answer
                        places += made.shortfalls(tokens, answer["tokens"], position)
                        answers.add((number, answer["content"]))
                assert len(answers) > 2 * len(chats)
                # Where two tokens are as good as equally likely, rounding chooses.
                assert max(places) < TIE
                assert sum(one > 0 for one in places) <= len(places) / 100

        asyncio.run(scenario())


class TestTogether:
    def test_adapters_that_nobody_asks_for_change_nothing(self, many: Made, tmp_path: Path) -> None:
        tokens = prompt(60)

        async def scenario() -> None:
            async with running(many.weights, tmp_path) as engine:
                alone = await log_probabilities(engine, tokens)
            async with running(many.weights, tmp_path, adapters=many.files) as engine:
                status, adapters = await ask(engine, "/lora-adapters")
                assert (status, {one["scale"] for one in adapters}) == (200, {0.0})
                for position in (None, BASE):
                    assert distance(await log_probabilities(engine, tokens, position), alone) < 1e-4

        asyncio.run(scenario())

    @pytest.mark.parametrize("slots", [1, 4])
    def test_one_after_the_other_none_finds_what_another_left(
        self, slots: int, many: Made, tmp_path: Path
    ) -> None:
        """Prompts share beginnings, and what an engine remembers of them was computed with an adapter."""
        order = [(position, seed) for position in (BASE, 0, 1, None) for seed in (0, 1)] * 3
        random.Random(3).shuffle(order)
        shared = prompt(80)

        async def scenario() -> None:
            async with running(many.weights, tmp_path, adapters=many.files, slots=slots) as engine:
                for position, seed in order:
                    tokens = [*shared, *prompt(40, seed)]
                    found = await log_probabilities(engine, tokens, position)
                    wanted = many.log_probabilities(tokens, BASE if position is None else position)
                    assert distance(found, wanted) < TOLERANCE, (position, seed)

        asyncio.run(scenario())

    def test_a_conversation_goes_on_where_its_slot_remembers_it(self, many: Made, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with running(many.weights, tmp_path, adapters=many.files) as engine:
                body = {"max_tokens": 1, "lora": chosen(3), "cache_prompt": True}
                _, first = await ask(engine, "/v1/completions", {**body, "prompt": prompt(100)})
                _, second = await ask(engine, "/v1/completions", {**body, "prompt": prompt(110)})
                assert first["timings"]["prompt_n"] == 100
                assert second["timings"]["prompt_n"] == 10

        asyncio.run(scenario())

    def test_all_at_once_each_gets_its_own(self, many: Made, tmp_path: Path) -> None:
        positions = [*range(len(many.files)), BASE, BASE, None, None]
        wishes = [(position, prompt(40, seed)) for seed, position in enumerate(positions)]
        random.Random(5).shuffle(wishes)

        async def scenario() -> None:
            async with running(many.weights, tmp_path, adapters=many.files, slots=8) as engine:
                found = await asyncio.gather(
                    *(log_probabilities(engine, tokens, position) for position, tokens in wishes)
                )
            for (position, tokens), one in zip(wishes, found, strict=True):
                wanted = many.log_probabilities(tokens, BASE if position is None else position)
                assert distance(one, wanted) < TOLERANCE, position

        asyncio.run(scenario())

    def test_several_answers_to_one_chat_come_from_its_adapter(self, many: Made, tmp_path: Path) -> None:
        body = {
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 8,
            "temperature": 0,
            "ignore_eos": True,
        }

        async def scenario() -> None:
            async with running(many.weights, tmp_path, adapters=many.files) as engine:
                answers = []
                for position in (BASE, 0, 1):
                    wish = {**body, "n": 2, "lora": chosen(position), "cache_prompt": True}
                    status, answer = await ask(engine, "/v1/chat/completions", wish)
                    assert status == 200, answer
                    first, second = (choice["message"]["content"] for choice in answer["choices"])
                    assert first == second
                    answers.append(first)
                assert len(set(answers)) == 3

        asyncio.run(scenario())
