"""Rows as one rectangle of tokens: one a line, or several where they are packed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from paddock.training.rows import Row


@dataclass(frozen=True)
class Batch:
    """
    Attributes:
        tokens: (lines, width), padded at the right.
        learned: (lines, width) bool.
        present: (lines, width) bool: what is no padding.
        positions: (lines, width) of tokens within their row, where several rows share a line; else None.
    """

    tokens: Tensor
    learned: Tensor
    present: Tensor
    positions: Tensor | None

    def to(self, device: torch.device) -> Batch:
        positions = None if self.positions is None else self.positions.to(device)
        return Batch(self.tokens.to(device), self.learned.to(device), self.present.to(device), positions)


def batch(rows: list[Row], padding: int, packing: bool) -> Batch:
    """All of `rows`, as wide as the longest of them. Packed ones fill the lines behind shorter ones."""
    width = max(len(row.tokens) for row in rows)
    lines = pack([len(row.tokens) for row in rows], width) if packing else [[i] for i in range(len(rows))]
    shape = (len(lines), width)
    tokens = torch.full(shape, padding, dtype=torch.long)
    learned, present = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    # Padding is a row of its own to the attention, so that the last row of a line does not see it as its own.
    positions = torch.zeros(shape, dtype=torch.long)
    for line, indices in enumerate(lines):
        begin = 0
        for row in (rows[index] for index in indices):
            end = begin + len(row.tokens)
            tokens[line, begin:end] = torch.from_numpy(row.tokens)
            learned[line, begin:end] = torch.from_numpy(row.learned)
            positions[line, begin:end] = torch.arange(end - begin)
            begin = end
        present[line, :begin] = True
        positions[line, begin:] = torch.arange(width - begin)
    return Batch(tokens, learned, present, positions if len(lines) < len(rows) else None)


def pack(lengths: list[int], width: int) -> list[list[int]]:
    """Indices of the rows of each line: the longest first, each into the first line with room for it."""
    lines: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        length = lengths[index]
        line = next((line for line, left in enumerate(room) if left >= length), None)
        if line is None:
            lines.append([])
            room.append(width)
            line = len(lines) - 1
        lines[line].append(index)
        room[line] -= length
    return lines
