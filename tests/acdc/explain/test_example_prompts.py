"""What a page says of nodes on example prompts is what TransformerLens computes."""

from __future__ import annotations

import pytest
import torch

from acdc.explain.example_prompts import example_prompts
from acdc.graphs.nodes import Node
from acdc.problem import Problem
from acdc.tasks.metrics import LogitDifference
from acdc.tasks.prompts import PromptPairs, TextPair
from acdc.tasks.tokenisation import tokenise
from tests.checkpoints import Checkpoints

NODES = [Node("head", 1, 0), Node("mlp", 0), Node("head", 0, 1)]


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_attention_and_promoted_tokens_equal_those_of_transformer_lens(
    checkpoints: Checkpoints, architecture: str
) -> None:
    model = checkpoints.model(architecture)
    pair, _ = tokenise(TextPair("token ids: 3 1 4 1 5", "token ids: 3 1 4 1 6", ("1",), ("2",)), None)
    assert pair is not None
    found = example_prompts(Problem(model, PromptPairs((pair,)), LogitDifference()), NODES)
    _, cache = model.bridge.run_with_cache(torch.tensor([[3, 1, 4, 1, 5]]))
    pattern = cache["blocks.1.attn.hook_pattern"][0, 0]
    torch.testing.assert_close(found.patterns[NODES[0]][0][0], pattern.to(model.dtype), rtol=0, atol=1e-6)

    wrote = cache["blocks.0.hook_mlp_out"][0, -1].double()
    final = cache["ln_final.hook_in"][0, -1].double()
    bridge, norm = model.bridge, model.unembedding.norm
    if norm.kind == "layer":
        direction = (wrote - wrote.mean()) / (final.var(unbiased=False) + norm.eps).sqrt()
    else:
        direction = wrote / (final.square().mean() + norm.eps).sqrt()
    direction = direction * (1 if norm.weight is None else norm.weight.double())
    logits = bridge.unembed.W_U.double().T @ direction
    ((promoted),) = found.promoted[NODES[1]]
    raised = (logits - logits.mean()).topk(len(promoted)).values
    torch.testing.assert_close(
        torch.tensor([value for _, value in promoted], dtype=torch.float64), raised.cpu(), rtol=0, atol=2e-4
    )
