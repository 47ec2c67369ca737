"""The logit lens: what the residual stream at the scored position would say if the model ended after each layer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.batch import Batch
from acdc.explain.answer_direction import Answers
from acdc.explain.direct_logits import another_for_each, require_single
from acdc.explain.estimates import Estimates, means
from acdc.problem import Problem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TOP = 3


@dataclass(frozen=True)
class LogitLens:
    """What the final norm and the unembedding make of the residual stream after the embedding and after every layer.

    `difference` is the mean logit of the answers less that of the distractors, `others` the same with the answers and
    distractors of other prompts (the control), `right` how often the likeliest token is an answer; `top` are the tokens
    that are likeliest most often, each with how often.

    Source: nostalgebraist 2020, interpreting GPT: the logit lens.
    """

    stages: tuple[str, ...]
    difference: Estimates
    others: Estimates
    right: Estimates
    top: tuple[tuple[tuple[str, float], ...], ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        kinds = {name: getattr(self, name).to_json() for name in ("difference", "others", "right")}
        top = [[{"token": token, "share": share} for token, share in tokens] for tokens in self.top]
        return {"stages": list(self.stages), **kinds, "top": top}

    def plot(self) -> Figure:
        """The difference by layer with its interval and its control, and below it how often the answer is on top."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4.8), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        places = range(len(self.stages))
        for estimates, colour, style, name in (
            (self.difference, "#00406E", "-", "answers less distractors"),
            (self.others, "#A83C00", "--", "of other prompts (control)"),
        ):
            above.plot(places, estimates.value, color=colour, linestyle=style, marker="o", markersize=3, label=name)
            above.fill_between(places, estimates.low, estimates.high, color=colour, alpha=0.15, linewidth=0)
        above.axhline(0, color="grey", linewidth=0.5)
        above.set_ylabel("logits")
        above.legend(fontsize="small")
        below.plot(places, self.right.value, color="#00406E", marker="o", markersize=3)
        below.fill_between(places, self.right.low, self.right.high, color="#00406E", alpha=0.15, linewidth=0)
        below.set(ylabel="right", ylim=(-0.05, 1.05), xlabel="residual stream after")
        step = -(-len(self.stages) // 16)
        below.set_xticks(list(places)[::step], [stage.replace("layer ", "") for stage in self.stages[::step]])
        figure.suptitle("Logit lens: the residual stream at the scored position, read as logits", fontsize="medium")
        return figure


def logit_lens(problem: Problem, seed: int = 0) -> LogitLens:
    """Look at a problem's clean prompts; `seed` is the bootstrap's.

    Raises: UnmeasurableBehaviour where answers are measured whole.
    """
    require_single(problem)
    layers = problem.graph.n_layers
    found = torch.empty(3, layers + 1, len(problem.pairs), dtype=torch.float64)
    top: list[Counter[int]] = [Counter() for _ in range(layers + 1)]
    other = another_for_each(problem, seed)
    for batch in problem.batches:
        prompts, rows = batch.prompts, batch.prompts.prompts.cpu()
        own, others = Answers.of(prompts), Answers.of_others(problem, prompts, other)
        shares = torch.ones(len(prompts)) if prompts.shares is None else prompts.shares
        for stage in range(layers + 1):
            logits = _logits(batch, stage)
            likeliest = logits.argmax(-1)
            right = (likeliest[:, None] == prompts.answers).any(-1)
            numbers = torch.stack((own.difference(logits), others.difference(logits), right.to(logits)))
            weighted = numbers.double().cpu() * shares.double().cpu()
            found[:, stage, rows] = prompts.added_up(weighted)
            top[stage].update(likeliest.tolist())
        del batch
    stages = ("input", *(f"layer {layer}" for layer in range(layers)))
    estimates = means(found, seed)
    return LogitLens(stages, estimates[0], estimates[1], estimates[2], tuple(_named(problem, counts) for counts in top))


def _logits(batch: Batch, stage: int) -> Float[Tensor, "row vocab"]:
    """The logits after so many layers."""
    runs = batch.whole
    ends = [indices.reads for indices in runs.graph.layers] + [len(runs.graph.senders)]
    with torch.no_grad():
        return runs.model.unembedding(runs.scored(runs.clean_residual(ends[stage])).squeeze(-2))


def _named(problem: Problem, counts: Counter[int]) -> tuple[tuple[str, float], ...]:
    tokenizer, rows = problem.model.tokenizer, counts.total()

    def written(token: int) -> str:
        return str(token) if tokenizer is None else str(tokenizer.decode([token]))

    return tuple((written(token), count / rows) for token, count in counts.most_common(_TOP))
