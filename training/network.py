"""The network: a vector for each word from its pieces, shape and kind; four convolutions over its neighbours.

What a piece adds is a function of its vector in all-MiniLM-L6-v2 alone. So the file holds that function's values, and
the two layers that make them cost nothing when the model runs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from policies.pii.ner.words import AFFIXES, KINDS, SHAPES

WIDTH = 256
REACH = (1, 2, 4, 8)
TAGS = 9


class Network(nn.Module):
    """Word rows to the logits of nine tags."""

    def __init__(self, pieces: Tensor, width: int = WIDTH, dropout: float = 0.2) -> None:
        super().__init__()
        self._pieces = [pieces]  # neither learned nor saved, and not copied when weights are averaged
        size = pieces.shape[1]
        self.first = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, 512), nn.GELU(), nn.Linear(512, width))
        self.further = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, 512), nn.GELU(), nn.Linear(512, width))
        self.extra = nn.Embedding(2 * AFFIXES + SHAPES * 9 + KINDS, width)
        nn.init.normal_(self.extra.weight, std=0.3)
        self.enter = nn.LayerNorm(width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in REACH)
        self.mixes = nn.ModuleList(nn.Linear(3 * width, width) for _ in REACH)
        self.leave = nn.LayerNorm(width)
        self.head = nn.Linear(width, TAGS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, rest: Tensor, owner: Tensor, weight: Tensor, start: Tensor, end: Tensor) -> Tensor:
        pieces = self._pieces[0]
        count = pieces.shape[0]
        unique, place = torch.unique(rows[:, 0], return_inverse=True)
        state = self.first(pieces[unique]).index_select(0, place)
        if len(rest):
            unique, place = torch.unique(rest, return_inverse=True)
            state = state.index_add(0, owner, self.further(pieces[unique]).index_select(0, place) * weight[:, None])
        state = state + self.extra(rows[:, 1:] - count).sum(1)
        state = self.dropout(self.enter(state))
        words = torch.arange(len(rows))
        for reach, norm, mix in zip(REACH, self.norms, self.mixes, strict=True):
            here = norm(state)
            has_left, has_right = (words - reach >= start)[:, None], (words + reach < end)[:, None]
            left = functional.pad(here[:-reach], (0, 0, reach, 0)) * has_left
            right = functional.pad(here[reach:], (0, 0, 0, reach)) * has_right
            near = torch.cat([left, here, right], 1)
            state = state + functional.gelu(mix(near))
        return self.head(self.dropout(self.leave(state)))

    @torch.no_grad()
    def table(self, is_further: np.ndarray) -> np.ndarray:
        """The vectors of all rows: pieces, affixes, shapes, kinds."""
        self.eval()
        further = torch.from_numpy(is_further)[:, None]
        pieces = torch.where(further, self.further(self._pieces[0]), self.first(self._pieces[0]))
        return torch.cat([pieces, self.extra.weight]).numpy()
