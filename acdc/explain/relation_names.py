"""What the relations of `acdc.explain.relations` are called: the token before, the same one, the one after that."""

from __future__ import annotations

FARTHEST = 8
"""How many positions back a fixed offset may be."""
FURTHER = 3
"""How many positions after an earlier occurrence of its token an induction head may look."""

PREVIOUS, SAME, FIRST = "1 back", "the same token before", "the first token"
FIXED = tuple(f"{offset} back" for offset in range(2, FARTHEST + 1))
AFTER = tuple(f"{steps} after the same token before" for steps in range(1, FURTHER + 1))
ANSWER = "an answer"
RELATIONS = (PREVIOUS, SAME, *AFTER, ANSWER, FIRST, *FIXED)
OF_TOKENS = (SAME, *AFTER, ANSWER)
"""Those that hang on which tokens stand where, and not on positions alone."""
