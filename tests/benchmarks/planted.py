"""GPT-2s of random weights in which a sparse circuit is planted: a few heads and MLPs write, the others hardly do."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

import torch

from acdc.graphs.model import Model, from_bridge
from acdc.tasks.pairs import ScoredPosition
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.tokenisation import TextPair, TokenPair

QUIET = 1e-3
"""What output weights of nodes outside the planted circuit are multiplied with."""

LOUD_HEAD, SHARP_HEAD, LOUD_MLP = 8.0, 2.0, 0.5
"""What planted heads' output weights, their query and key weights, and planted MLPs' output weights are multiplied
with: then each of them adds about as much to the residual stream as the embeddings do, and attends to some positions
more than to others, so that they bend one another's results.
"""

TEXT = TextPair("clean", "corrupt", (" answer",), (" distractor",))
"""Stands for the words of prompts that were never words."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; and how many of its heads and MLPs are planted."""

    n_layers: int
    n_heads: int = 12
    d_model: int = 768
    vocabulary: int = 50257
    loud_heads: int = 12
    loud_mlps: int = 3

    def planted(self, seed: int) -> tuple[frozenset[tuple[int, int]], frozenset[int]]:
        """The planted heads, by layer and head, and the layers of the planted MLPs."""
        draw = random.Random(seed)
        heads = [(layer, head) for layer in range(self.n_layers) for head in range(self.n_heads)]
        return (
            frozenset(draw.sample(heads, self.loud_heads)),
            frozenset(draw.sample(range(self.n_layers), self.loud_mlps)),
        )


def plain(shape: Shape, *, seed: int = 0, attention: Literal["sdpa", "eager"] = "sdpa") -> Any:
    """The model as Hugging Face has it, weights drawn as GPT-2's are at first and then planted."""
    from transformers import AutoModelForCausalLM, GPT2Config

    config = GPT2Config(
        n_layer=shape.n_layers,
        n_head=shape.n_heads,
        n_embd=shape.d_model,
        vocab_size=shape.vocabulary,
        bos_token_id=0,
        eos_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    generator = torch.Generator().manual_seed(seed)
    std = 0.02 * (768 / shape.d_model) ** 0.5  # what GPT-2 starts from, whatever the width
    heads, mlps = shape.planted(seed)
    width = shape.d_model // shape.n_heads
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=std, generator=generator)
        for layer, block in enumerate(model.transformer.h):
            for head in range(shape.n_heads):
                own = slice(head * width, (head + 1) * width)
                loud = (layer, head) in heads
                block.attn.c_proj.weight[own] *= LOUD_HEAD if loud else QUIET
                if loud:
                    for part in block.attn.c_attn.weight.split(shape.d_model, dim=1)[:2]:
                        part[:, own] *= SHARP_HEAD
            block.mlp.c_proj.weight *= LOUD_MLP if layer in mlps else QUIET
    return model.eval()


def bridged(
    shape: Shape, name: str, *, seed: int = 0, device: torch.device, dtype: torch.dtype = torch.float32
) -> Model:
    """The same model as ours."""
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    original = plain(shape, seed=seed, attention="eager").to(device, dtype)
    bridge = build_bridge_from_module(original, type(original).__name__, hf_config=original.config)
    return from_bridge(bridge, name)


def prompts(model: Model, count: int, length: int, *, seed: int = 0) -> PromptPairs:
    """Random tokens, scored at the last one.

    Clean and corrupt prompt end in the same token, so that what tells them apart has to come through heads. The answer
    is the token that the clean prompt favours most over the corrupt one, the distractor the one it disfavours most.
    """
    generator = torch.Generator().manual_seed(seed)
    vocabulary = model.unembedding.weight.shape[0]
    pairs = []
    for clean in torch.randint(vocabulary, (count, length), generator=generator):
        corrupt = torch.randint(vocabulary, (length,), generator=generator)
        corrupt[-1] = clean[-1]
        with torch.no_grad():
            after = model.logits(torch.stack((clean, corrupt)).to(model.device))[:, -1]
        favour = after[0] - after[1]
        words = (int(favour.argmax()),), (int(favour.argmin()),)
        pairs.append(
            TokenPair(tuple(clean.tolist()), tuple(corrupt.tolist()), (ScoredPosition(length - 1, *words),), TEXT)
        )
    return PromptPairs(tuple(pairs))
