"""What gradients cost on the Hugging Face model itself: forwards and backwards of it, with no hook and nothing kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from acdc.tasks.metrics import LogitDifference, Targets
from tests.benchmarks.one_forward_per_edge import plain_forward
from tests.benchmarks.subjects import Subject


@dataclass(frozen=True)
class PlainGradients:
    """Runs of a subject's Hugging Face model over its prompts, differentiating the logit difference.

    To the embeddings only, as attribution needs it; or, with `weights`, to every weight, as training does.
    """

    subject: Subject
    weights: bool = False

    def runs(self, backwards: int) -> Callable[[], None]:
        """One forward over the corrupt prompts, and that many forwards with backwards over the clean ones."""
        model, metric = self.subject.plain, LogitDifference()
        batches = self.subject.problem("kl").prompt_batches
        corrupt = plain_forward(self.subject, corrupt=True)

        def run() -> None:
            corrupt()
            for batch in (batch for _ in range(backwards) for batch in batches):
                start = model.get_input_embeddings()(batch.clean).detach().requires_grad_()
                logits = model(inputs_embeds=start, use_cache=False).logits
                scored = logits[torch.arange(len(batch), device=logits.device), batch.scored_positions]
                measured = metric(scored, Targets(batch.answers, batch.distractors, scored.detach())).sum()
                # GPT-2 has tied its unembedding to its embedding, and gives the parameter once
                torch.autograd.grad(measured, [start, *(p for p in model.parameters() if p.requires_grad)])

        def run_with_weights() -> None:
            model.requires_grad_(True)
            try:
                run()
            finally:
                model.requires_grad_(False)

        return run_with_weights if self.weights else run
