"""The roles that heads can have, and along which relation each role's heads look."""

from __future__ import annotations

from acdc.explain.relation_names import AFTER, ANSWER, FIRST, FIXED, PREVIOUS, SAME

MOVER, NEGATIVE, INHIBITION = "name mover", "negative name mover", "S-inhibition"
ROLES = {
    PREVIOUS: "previous token",
    SAME: "duplicate token",
    **dict.fromkeys(AFTER, "induction"),
    ANSWER: MOVER,
    FIRST: "first token",
    **{name: f"fixed offset ({name})" for name in FIXED},
}
NAMES = tuple(dict.fromkeys((*ROLES.values(), NEGATIVE, INHIBITION)))
