"""What some prompts have in common: the words that fill their slots far more often than those of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from acdc.tasks.tokenisation import TextPair

_EXCESS = 0.1
"""By how much a word's share among the prompts exceeds its share among the others, to be told."""
_SHOWN = 3


def typical(prompts: Collection[TextPair], others: Collection[TextPair]) -> tuple[str, ...]:
    """Slots with their words, such as `letter G`, the most excessive first; three at most."""
    usual, shares = _shares(others), _shares(prompts)
    excess = {filled: share - usual.get(filled, 0.0) for filled, share in shares.items()}
    words = sorted((filled for filled in excess if excess[filled] > _EXCESS), key=lambda one: (-excess[one], one))
    return tuple(" ".join(filled) for filled in words[:_SHOWN])


def _shares(prompts: Collection[TextPair]) -> dict[tuple[str, str], float]:
    """How often each slot is filled with each word."""
    counts = Counter(filled for prompt in prompts for filled in prompt.wording.filling)
    return {filled: count / len(prompts) for filled, count in counts.items()}
