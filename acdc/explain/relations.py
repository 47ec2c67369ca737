"""What the token a head looks at is to the token it looks from: the one before it, the same one, the one after that."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from acdc.explain.relation_names import AFTER, ANSWER, FIRST, FIXED, PREVIOUS, RELATIONS, SAME


def relations(
    tokens: Int[Tensor, "batch pos"], answers: Int[Tensor, "batch answer"] | None = None
) -> Bool[Tensor, "relation batch query key"]:
    """For every relation, which keys stand in it to which queries; `answers` are tokens, of which -1 is none.

    Sources: the previous-token, duplicate-token and induction heads of Olsson et al. 2022 (arXiv:2209.11895) and Wang
    et al. 2022 (arXiv:2211.00593). A head after the same token by more than one step is an induction head whose keys
    were written further on.
    """
    length = tokens.shape[1]
    at = torch.arange(length, device=tokens.device)
    back = at[:, None] - at[None, :]
    same = (tokens[:, :, None] == tokens[:, None, :]) & (back > 0)
    found = {PREVIOUS: back == 1, SAME: same, FIRST: (at[None, :] == 0) & (back > 0)}
    found |= {name: back == offset for offset, name in enumerate(FIXED, start=2)}
    for steps, name in enumerate(AFTER, start=1):
        after = torch.zeros_like(same)
        after[:, :, steps:] = same[:, :, :-steps]
        found[name] = after & (back >= 0)
    is_answer = torch.zeros_like(tokens, dtype=torch.bool)
    if answers is not None:
        is_answer = (tokens[:, :, None] == answers[:, None, :]).any(-1)
    found[ANSWER] = is_answer[:, None, :] & (back >= 0)
    return torch.stack([found[name].expand_as(same) for name in RELATIONS])
