"""Which rows of a tensor are the same, so that what is made of them need be made once."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def distinct(rows: Float[Tensor, "row *shape"]) -> tuple[Float[Tensor, "distinct *shape"], Int[Tensor, " row"]]:
    """The rows, those that are the same to the last bit once, and for each row which of them it is."""
    if len(rows) <= 1:
        return rows, torch.zeros(len(rows), dtype=torch.long, device=rows.device)
    first: list[int] = []
    by_sum: dict[float, list[int]] = {}  # which of the distinct rows have this sum; that alone decides nothing
    same: list[int] = []
    for row, total in enumerate(rows.flatten(1).sum(1).tolist()):
        alike = by_sum.setdefault(total, [])
        found = next((number for number in alike if torch.equal(rows[first[number]], rows[row])), None)
        if found is None:
            found = len(first)
            first.append(row)
            alike.append(found)
        same.append(found)
    if len(first) == len(rows):
        return rows, torch.arange(len(rows), device=rows.device)
    return rows[first], torch.tensor(same, device=rows.device)
