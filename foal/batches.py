"""Samples as batches of tokens: similar lengths together, no packing across samples, loss on the answers."""

from collections.abc import Iterator
from itertools import islice
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from foal.corpus import END, PLAIN_WEIGHT, START, Sample, samples

_POOL = 6000
_LONGEST = 700


def batches(tokenizer: PreTrainedTokenizerFast, seed: int, budget: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Without end: (tokens, their weights in the loss), both (rows, columns) with about `budget` places."""
    stream, rng = samples(seed), Random(seed)
    while True:
        rows = _encoded(list(islice(stream, _POOL)), tokenizer)
        rows.sort(key=lambda row: len(row[0]))
        groups: list[list[tuple[list[int], list[float]]]] = [[]]
        for row in rows:
            if groups[-1] and (len(groups[-1]) + 1) * len(row[0]) > budget:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        for group in groups:
            yield _padded(group)


def _encoded(pool: list[Sample], tokenizer: PreTrainedTokenizerFast) -> list[tuple[list[int], list[float]]]:
    ids = tokenizer([sample.render() for sample in pool], add_special_tokens=False)["input_ids"]
    start, end = tokenizer.convert_tokens_to_ids([START, END])
    header = len(tokenizer.encode("assistant\n", add_special_tokens=False))
    rows = ((row, _weights(sample, row, start, end, header)) for sample, row in zip(pool, ids, strict=True))
    return [(row[:_LONGEST], weights[:_LONGEST]) for row, weights in rows]


def _weights(sample: Sample, ids: list[int], start: int, end: int, header: int) -> list[float]:
    if not sample.turns:
        return [PLAIN_WEIGHT] * len(ids)
    weights = [0.0] * len(ids)
    position = 0
    for turn in sample.turns:
        first = ids.index(start, position)
        position = ids.index(end, first)
        if turn.weight:
            begin = first + 1 + header
            weights[begin : position + 1] = [turn.weight] * (position + 1 - begin)
    return weights


def _padded(group: list[tuple[list[int], list[float]]]) -> tuple[Tensor, Tensor]:
    width = max(len(ids) for ids, _ in group)
    tokens = torch.zeros(len(group), width, dtype=torch.long)
    weights = torch.zeros(len(group), width)
    for row, (ids, weight) in enumerate(group):
        tokens[row, : len(ids)] = torch.tensor(ids)
        weights[row, : len(ids)] = torch.tensor(weight)
    return tokens, weights
