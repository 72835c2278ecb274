"""The network: a vector for each word from its pieces, shape and kind; convolutions over its neighbours.

What a piece adds is a function of what large models know about that piece alone. So the file holds that function's
values, and the layers that make them cost nothing when the model runs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from policies.pii.ner.words import AFFIXES, KINDS, SHAPES

WIDTH = 256
REACH = (1, 1, 2, 4, 8, 2)
"""How far apart the words are that each convolution looks at."""
TAGS = 9


class Rows(nn.Module):
    """Each word's vector: its first piece, its other pieces, and its affixes, shape and kind."""

    def __init__(self, known: list[Tensor], width: int) -> None:
        super().__init__()
        # neither learned nor saved, and not copied when weights are averaged
        self._known = [torch.cat([functional.layer_norm(each, each.shape[1:]) for each in known], 1)]
        size = self._known[0].shape[1]
        self.first = nn.Sequential(nn.Linear(size, 512), nn.GELU(), nn.Linear(512, width))
        self.further = nn.Sequential(nn.Linear(size, 512), nn.GELU(), nn.Linear(512, width))
        self.extra = nn.Embedding(2 * AFFIXES + SHAPES * 9 + KINDS, width)
        nn.init.normal_(self.extra.weight, std=0.3)

    def forward(self, rows: Tensor, rest: Tensor, owner: Tensor, weight: Tensor) -> Tensor:
        known = self._known[0]
        unique, place = torch.unique(rows[:, 0], return_inverse=True)
        state = self.first(known[unique]).index_select(0, place)
        if len(rest):
            unique, place = torch.unique(rest, return_inverse=True)
            state = state.index_add(0, owner, self.further(known[unique]).index_select(0, place) * weight[:, None])
        return state + self.extra(rows[:, 1:] - known.shape[0]).sum(1)

    @torch.no_grad()
    def table(self, is_further: Tensor) -> Tensor:
        """The vectors of all rows: pieces, affixes, shapes, kinds."""
        known = self._known[0]
        pieces = torch.where(is_further[:, None], self.further(known), self.first(known))
        return torch.cat([pieces, self.extra.weight])


class Body(nn.Module):
    """From the words' vectors to the logits of nine tags. Each neighbour is seen by half of its channels."""

    def __init__(self, width: int = WIDTH, reach: tuple[int, ...] = REACH, dropout: float = 0.1) -> None:
        super().__init__()
        self.reach, self.half = reach, width // 2
        self.enter = nn.LayerNorm(width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in reach)
        self.mixes = nn.ModuleList(nn.Linear(2 * width, width) for _ in reach)
        self.leave = nn.LayerNorm(width)
        self.head = nn.Linear(width, TAGS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, state: Tensor, start: Tensor, end: Tensor) -> Tensor:
        state = self.dropout(self.enter(state))
        words = torch.arange(len(state), device=state.device)
        for reach, norm, mix in zip(self.reach, self.norms, self.mixes, strict=True):
            here = norm(state)
            has_left, has_right = (words - reach >= start)[:, None], (words + reach < end)[:, None]
            left = functional.pad(here[:-reach, : self.half], (0, 0, reach, 0)) * has_left
            right = functional.pad(here[reach:, self.half :], (0, 0, 0, reach)) * has_right
            near = torch.cat([left, here, right], 1)
            state = state + self.dropout(functional.gelu(mix(near)))
        return self.head(self.dropout(self.leave(state)))


class Network(nn.Module):
    """Word rows to logits."""

    def __init__(self, known: list[Tensor], width: int = WIDTH, reach: tuple[int, ...] = REACH) -> None:
        super().__init__()
        self.rows, self.body = Rows(known, width), Body(width, reach)

    def forward(self, rows: Tensor, rest: Tensor, owner: Tensor, weight: Tensor, start: Tensor, end: Tensor) -> Tensor:
        return self.body(self.rows(rows, rest, owner, weight), start, end)
