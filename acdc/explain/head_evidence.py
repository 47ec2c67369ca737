"""Which role the evidence on some prompts speaks for: where a head looks, what it adds, where it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from acdc.explain.head_behaviours import HeadBehaviours
from acdc.explain.relation_names import AFTER, ANSWER, FIRST, RELATIONS, SAME
from acdc.explain.role_names import MOVER, NEGATIVE, ROLES
from acdc.explain.where_it_matters import LEAST
from acdc.graphs.nodes import Node
from acdc.graphs.roles import UNLABELLED
from acdc.judges.faithfulness import Interval

ATTENTION = 0.5
"""A role's heads pay at least this part of their attention along its relation."""
ABOVE_CHANCE = 0.25
"""And so much more than chance gives."""


@dataclass(frozen=True)
class DirectEffect:
    """What a head adds to the logit difference of answers and distractors directly, as a part of all of it.

    `mostly` is whether the edge from it to the logits alone costs at least half of what the head costs.
    """

    part: Interval
    mostly: bool

    @property
    def sign(self) -> int:
        """1 where it surely adds, -1 where it surely takes away, 0 where neither is sure."""
        return 1 if self.part.low > 0 else -1 if self.part.high < 0 else 0


@dataclass(frozen=True)
class HeadCosts:
    """What ablating each head of a circuit costs, as a part of the behaviour: `alone` prompt by prompt.

    `by_slot` is what ablating it at each slot alone does; `from_first`, prompt by prompt, what it costs that it no
    longer reads what the first token says.
    """

    alone: Mapping[Node, Float[Tensor, " prompt"]]
    by_slot: Mapping[Node, Mapping[str, float]]
    from_first: Mapping[Node, Float[Tensor, " prompt"]]

    def is_first(self, head: Node) -> bool:
        """Whether what a head takes from the first token is at least half of what it does; else it only rests there."""
        taken, whole = (float(costs[head].mean()) for costs in (self.from_first, self.alone))
        return taken >= max(LEAST, whole / 2)


@dataclass(frozen=True)
class HeadEvidence:
    """What is measured of the heads of a circuit on some prompts: attention, each position counting as it is needed.

    `everywhere` and `random` are the attention of all heads of the model at all positions of these prompts and of
    random sequences.
    """

    prompts: HeadBehaviours
    everywhere: HeadBehaviours
    random: HeadBehaviours | None
    direct: Mapping[Node, DirectEffect]
    costs: HeadCosts

    def role(self, head: Node) -> tuple[str, str]:
        """The role that a head's evidence speaks for, with the relation; `unlabelled` and "" where it is none."""
        fitting = self.fitting(head)
        if not fitting:
            return UNLABELLED, ""
        role = ROLES[fitting[0]]
        return (NEGATIVE if role == MOVER and self.direct[head].sign < 0 else role), fitting[0]

    def fitting(self, head: Node) -> tuple[str, ...]:
        """The relations that fit a head about as well as the best one, in the order of the relations.

        On prompts of one form several do: what stands after the same token before also is so many tokens back.
        """
        scores = {one: self.prompts.score(head, one) for one in RELATIONS if self._fits(head, one)}
        best = max(scores.values(), default=0.0)
        return tuple(one for one, score in scores.items() if score > best - 0.1)

    def alike(self, head: Node) -> tuple[str, ...]:
        """The relations of other roles that these prompts do not tell from the head's.

        They fit it about as well; or they are relations of tokens that stand at the same positions in every prompt.
        """
        _, chosen = self.role(head)
        undecided = (one for one in (SAME, *AFTER) if self.prompts.never_elsewhere(head, one))
        others = (*self.fitting(head), *(one for one in undecided if self._fits(head, one, by_position=True)))
        # an answer is what a head finds, not how
        return tuple(one for one in dict.fromkeys(others) if chosen and ROLES[one] != ROLES[chosen] and one != ANSWER)

    def _fits(self, head: Node, relation: str, *, by_position: bool = False) -> bool:
        """Whether a relation fits a head, or would if it were known that it does not go by position."""
        here = self.prompts
        if here.reached(head, relation) < 0.5:
            return False  # most of what the head is needed for is where no such key is
        if relation in AFTER and head.layer == 0:
            return False  # nothing has told its keys yet what stands before them (Elhage et al. 2021)
        if relation == ANSWER and not (head in self.direct and self.direct[head].mostly and self.direct[head].sign):
            return False
        if relation == FIRST and not self.costs.is_first(head):
            return False
        chance = here.evenly(head, relation) if by_position else here.by_chance(head, relation)
        return here.of(head, relation) >= max(ATTENTION, chance + ABOVE_CHANCE)
