"""Trains the model from nothing: `python -m foal.train` from the root of the repository."""

import argparse
import json
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from foal import development
from foal.corpus import END, START, STOP
from foal.tokenizer import learn
from foal.workers import train

DESTINATION = Path(__file__).parents[1] / "src" / "paddock" / "bundled" / "foal"


def main() -> None:
    options = _options()
    torch.manual_seed(options.seed)
    tokenizer = learn(options.seed, 30_000)
    model = _model(tokenizer, options.layers, options.heads)
    model.generation_config = _generation(tokenizer)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens", flush=True)
    save(model, tokenizer, options.output)
    train(model, options.output, options)
    torch.set_num_threads(options.workers)
    print(development.report(model, tokenizer), flush=True)
    save(model, tokenizer, options.output)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=9000, help="how many steps to train")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long to train at the most")
    parser.add_argument("--budget", type=int, default=3072, help="tokens in a batch, padding included")
    parser.add_argument("--rate", type=float, default=2e-3, help="the highest learning rate of AdamW")
    parser.add_argument("--muon-rate", type=float, default=0.015, help="the same of Muon, for the matrices")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=3, help="of 64 dimensions each")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    parser.add_argument(
        "--report-minutes", type=float, default=4.0, help="between two looks at the development set"
    )
    parser.add_argument("--output", type=Path, default=DESTINATION)
    return parser.parse_args()


def _model(tokenizer: PreTrainedTokenizerFast, layers: int, heads: int) -> LlamaForCausalLM:
    stop, _, end = tokenizer.convert_tokens_to_ids([STOP, START, END])
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64 * heads,
        intermediate_size=512 * heads // 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        rope_theta=10000.0,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=stop,
        attn_implementation="sdpa",
    )
    # A bfloat16 model is a quarter faster than autocast on the processors that have it.
    return LlamaForCausalLM(config).to(torch.bfloat16)


def _generation(tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    """How the model is sampled unless the caller says otherwise: stories vary, facts hardly."""
    stop, end = tokenizer.convert_tokens_to_ids([STOP, END])
    return GenerationConfig(
        eos_token_id=[end, stop], pad_token_id=stop, do_sample=True, temperature=0.4, top_p=0.9
    )


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes the model in Hugging Face's format; its weights are in bfloat16."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    # Readers older than transformers 5 know neither its name for the class nor the separate template.
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": tokenizer.chat_template}
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
