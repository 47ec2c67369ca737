"""Interchanges of chosen edges."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import GPT2Config

from acdc.tasks.models.training.edgewise import edge_indices, receivers, senders


def these_edges(config: GPT2Config, names: Iterable[str], rows: int) -> Bool[Tensor, "batch receiver sender"]:
    """These edges in every row."""
    swapped = torch.zeros(rows, len(receivers(config)), len(senders(config)), dtype=torch.bool)
    for name in names:
        swapped[:, edge_indices(config)[name][0], edge_indices(config)[name][1]] = True
    return swapped


def one_edge(config: GPT2Config, name: str, rows: int) -> Bool[Tensor, "batch receiver sender"]:
    """That edge in every row."""
    return these_edges(config, [name], rows)
