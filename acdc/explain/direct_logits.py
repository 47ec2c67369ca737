"""Direct logit attribution: what every node itself adds to the answers' logits less the distractors'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.batch import Batch
from acdc.errors import UnmeasurableBehaviour
from acdc.explain.answer_direction import Answers, direction
from acdc.explain.estimates import Estimates, means, plain
from acdc.explain.heat_map import Scale, draw
from acdc.problem import Problem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BIASES = "biases"
"""What belongs to no node: the biases of attention layers, of the final norm and of the unembedding."""


@dataclass(frozen=True)
class DirectLogits:
    """What each node adds directly to the mean logit of the answers less that of the distractors, by name.

    The final norm has the scale of the clean run, and a soft cap of the logits is left out; so `effects`, which end
    with the `biases`, add up to `logit_difference`. `others` are the effects on the answers and distractors of other
    prompts: what a node adds whatever is asked.

    Source: Elhage et al. 2021, A Mathematical Framework for Transformer Circuits; Wang et al. 2022, section 3.1.
    """

    nodes: tuple[str, ...]
    effects: Estimates
    others: Estimates
    logit_difference: float

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        rows = zip(self.nodes, *(plain(part) for part in self._columns), strict=True)
        names = ("node", "effect", "low", "high", "other_prompts")
        return {
            "logit_difference": self.logit_difference,
            "nodes": [dict(zip(names, row, strict=True)) for row in rows],
        }

    def strongest(self, count: int) -> list[int]:
        """The indices of the nodes that add or take away most, in falling order."""
        return [int(index) for index in np.argsort(-np.abs(self.effects.value), kind="stable")[:count]]

    def plot(self) -> Figure:
        """A map of the heads, with the MLPs in a column of their own, beside that of other prompts' answers."""
        heads = [name.split(".h") for name in self.nodes if ".h" in name]
        layers, across = (1 + max(int(part[index].lstrip("a")) for part in heads) for index in (0, 1))
        has_mlp = "m0" in self.nodes
        maps = []
        for values in (self.effects.value, self.others.value):
            by_name = dict(zip(self.nodes, values.tolist(), strict=True))
            maps.append(
                np.array(
                    [
                        [by_name[f"a{layer}.h{head}"] for head in range(across)]
                        + [by_name[f"m{layer}"] for _ in range(has_mlp)]
                        for layer in range(layers)
                    ]
                )
            )
        rest = {name: value for name, value in zip(self.nodes, self.effects.value, strict=True) if name[0] in "ib"}
        return draw(
            dict(zip(("on this prompt's answer", "on other prompts' answers (control)"), maps, strict=True)),
            rows=[str(layer) for layer in range(layers)],
            columns=[f"h{head}" for head in range(across)] + ["MLP"] * has_mlp,
            title=f"Direct effect on the logit difference of {self.logit_difference:.2f}\n"
            + ", ".join(f"{name} {value:+.2f}" for name, value in rest.items()),
            scale=Scale("answers less distractors, logits"),
        )

    @property
    def _columns(self) -> tuple[Any, ...]:
        return self.effects.value, self.effects.low, self.effects.high, self.others.value


def direct_logits(problem: Problem, seed: int = 0) -> DirectLogits:
    """Attribute the logit difference of a problem's clean prompts to its nodes; `seed` is the bootstrap's.

    Raises: UnmeasurableBehaviour where answers are measured whole.
    """
    order = another_for_each(problem, seed)
    effects, others = direct_effects(problem), direct_effects(problem, order)
    names = (*(node.name for node in problem.graph.senders), BIASES)
    return DirectLogits(names, means(effects, seed), means(others, seed), float(effects.sum(0).mean()))


def direct_effects(problem: Problem, other: Sequence[int] | None = None) -> Float[Tensor, "node prompt"]:
    """What every sender, and last the biases, adds to the logit difference of every prompt, in float64.

    With `other`, to that between the answers and distractors of another prompt for each, by number.

    Raises: UnmeasurableBehaviour where answers are measured whole.
    """
    require_single(problem)
    effects = torch.empty(len(problem.graph.senders) + 1, len(problem.pairs), dtype=torch.float64)
    for batch in problem.batches:
        with torch.no_grad():
            effects[:, batch.prompts.prompts.cpu()] = _of_batch(problem, batch, other)
    return effects


def _of_batch(problem: Problem, batch: Batch, other: Sequence[int] | None) -> Float[Tensor, "node prompt"]:
    runs, prompts = batch.whole, batch.prompts
    ablated = runs.ablated.outputs.expand_as(runs.delta)
    wrote = (runs.scored(runs.delta) + runs.scored(ablated)).squeeze(-2)
    final = runs.scored(runs.clean_residual(len(runs.graph.senders))).squeeze(-2)
    of = Answers.of(prompts) if other is None else Answers.of_others(problem, prompts, other)
    along = direction(runs.model, final, of)
    biases = along(final - wrote.sum(0)) + along.bias
    effects = torch.cat((along(wrote), biases[None])).double()
    shares = prompts.shares
    return prompts.added_up(effects if shares is None else effects * shares.to(effects)).cpu()


def require_single(problem: Problem) -> None:
    """Refuse whole answers, no single token of which tells an answer from a distractor.

    Raises: UnmeasurableBehaviour.
    """
    if problem.pairs.whole:
        raise UnmeasurableBehaviour(
            "what is read off a single logit is not there for answers that are measured whole; "
            "measure their first tokens (answers: first-token in the behaviour file)"
        )


def another_for_each(problem: Problem, seed: int) -> list[int]:
    """The number of another prompt for each, at random; its own where there is no other."""
    order = np.random.default_rng(seed).permutation(len(problem.pairs))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return [int(number) for number in other]
