"""Train `everyday-4l`, a four-layer GPT-2 that does six everyday behaviours: `python train.py --out DIR [--seed 0]`."""

from __future__ import annotations

import argparse
import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from acdc.tasks.builtin import addition, agreement, docstring, greater_than, induction, ioi
from acdc.tasks.builtin.combinations import Combinations
from acdc.tasks.builtin.vocabulary import DIGITS, LETTERS, WORDS
from acdc.tasks.models.training.word_level import PIECE, save_tokenizer, word_level_tokenizer
from acdc.tasks.tokenisation import TextPair

POSITIONS, STEPS, RATE, DECAY = 64, 6000, 2e-3, 0.1
END = 0  # the end-of-text token, which some libraries put before every prompt
EVERY_TOKEN = 0.1  # weight of predicting every token of a sentence, against 1 for the tokens that are determined

# Behaviours of similar length share a forward pass, so that little of it is padding.
MIXTURE: tuple[dict[str, int], ...] = (
    {"docstring": 8},
    {"ioi": 12, "induction": 16},
    {"greater_than": 8, "agreement": 8, "addition": 16},
)
DRAWS: dict[str, Callable[[np.random.Generator, Combinations], TextPair]] = {
    "docstring": docstring.draw,
    "ioi": ioi.draw,
    "induction": induction.draw,
    "greater_than": greater_than.draw,
    "agreement": agreement.draw,
    "addition": addition.draw,
}


def vocabulary() -> list[str]:
    """Every piece that a prompt of the six behaviours can have, in a fixed order."""
    texts = [
        *DIGITS, *(f"{number:02}" for number in range(100)), *LETTERS, *WORDS,
        *ioi.NAMES, *ioi.PLACES, *ioi.OBJECTS, *ioi.TEMPLATES,
        *greater_than.NOUNS, "The lasted from the year to the year",
        *docstring.ARGUMENTS, *docstring.FUNCTIONS, *docstring.NOUNS, 'def (self, ): """ :param',
        *agreement.NOUNS, *agreement.NOUNS.values(), *agreement.PREPOSITIONS, *agreement.TEMPLATES, "is are was were",
        *addition.NUMBERS, *addition.TEMPLATES,
    ]  # fmt: skip
    return list(dict.fromkeys(piece for text in texts for piece in re.findall(PIECE, re.sub(r"{\w*}", "", text))))


class Sentences:
    """An endless stream of training sentences as tokens, with the weight of every prediction."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.tokenizer = word_level_tokenizer(vocabulary())

    def sentence(self, behaviour: str) -> tuple[str, str]:
        """A prompt of combinations that are not held out, and an answer to it."""
        pair = DRAWS[behaviour](self.rng, Combinations.TRAINED)
        if behaviour == "greater_than" and self.rng.random() < 0.1:
            # The year 01, which the task's corrupt prompts start in and its clean ones never do.
            return pair.corrupt, f"{self.rng.integers(2, 100):02}"
        return pair.clean, pair.answers[self.rng.integers(len(pair.answers))]

    def batch(self, mixture: dict[str, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tokens [row, pos], labels [row, pos] (-100 after the end), weights [row, pos] that sum to 1 per behaviour."""
        rows: list[list[int]] = []
        weights: list[np.ndarray] = []
        for behaviour, count in mixture.items():
            texts = [self.sentence(behaviour) for _ in range(count)]
            encoded = [self.tokenizer.encode(prompt + answer) for prompt, answer in texts]
            scored = [determined(behaviour, tokens, self.tokenizer) for tokens in encoded]
            total = sum(len(indices) for indices in scored)
            length = sum(len(tokens) - 1 for tokens in encoded)
            for tokens, indices in zip(encoded, scored, strict=True):
                weight = np.full(len(tokens) - 1, EVERY_TOKEN / length)
                weight[indices] += 1 / total
                if self.rng.random() < 0.125:
                    tokens, weight = [END, *tokens], np.concatenate([[0.0], weight])
                rows.append(tokens)
                weights.append(weight)
        width = max(map(len, rows))
        tokens = torch.full((len(rows), width - 1), END)
        labels = torch.full((len(rows), width - 1), -100)
        weighted = torch.zeros(len(rows), width - 1)
        for row, (line, weight) in enumerate(zip(rows, weights, strict=True)):
            if 1 in line:
                raise ValueError(f"a training sentence has an unknown word: {self.tokenizer.decode(line)}")
            tokens[row, : len(line) - 1] = torch.tensor(line[:-1])
            labels[row, : len(line) - 1] = torch.tensor(line[1:])
            weighted[row, : len(weight)] = torch.from_numpy(weight)
        return tokens, labels, weighted


def determined(behaviour: str, tokens: list[int], tokenizer) -> list[int]:
    """The positions whose next token follows from what stands before: the answer's, and others like it."""
    last = len(tokens) - 2
    match behaviour:
        case "induction":
            return [index for index in range(last + 1) if tokens[index] in tokens[:index]]
        case "docstring":
            marker = tokenizer.convert_tokens_to_ids("param")
            return [index for index in range(last + 1) if tokens[index] == marker]
        case _:
            return [last]


def untrained(vocabulary_size: int) -> GPT2LMHeadModel:
    """GPT-2 in small; the weights start larger than usual, as suits a width of 128."""
    config = GPT2Config(
        vocab_size=vocabulary_size,
        n_positions=POSITIONS,
        n_embd=128,
        n_layer=4,
        n_head=8,
        initializer_range=0.08,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=END,
        eos_token_id=END,
    )
    return GPT2LMHeadModel(config)


def train(seed: int, steps: int) -> GPT2LMHeadModel:
    """The trained model; AdamW, linear warm-up and cosine decay, no dropout."""
    torch.manual_seed(seed)
    sentences = Sentences(seed)
    model = untrained(len(sentences.tokenizer))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=DECAY, fused=True)
    start = time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * step / steps))
        for mixture in MIXTURE:
            tokens, labels, weights = sentences.batch(mixture)
            logits = model(tokens, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
            (loss * weights.flatten()).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 200 == 199:
            scores = accuracy(model, sentences.tokenizer, 100, seed=1, among=Combinations.TRAINED)
            shown = "  ".join(f"{behaviour} {score:.2f}" for behaviour, score in scores.items())
            print(f"step {step + 1:5d}  {shown}  {time.perf_counter() - start:.0f} s", flush=True)
    return model.eval()


@torch.no_grad()
def accuracy(model: GPT2LMHeadModel, tokenizer, count: int, seed: int, among: Combinations) -> dict[str, float]:
    """Per behaviour, the share of prompts after which the likeliest token is an answer."""
    scores = {}
    for behaviour, draw in DRAWS.items():
        rng = np.random.default_rng(seed)
        pairs = [draw(rng, among) for _ in range(count)]
        right = 0
        rows = [tokenizer.encode(pair.clean) for pair in pairs]
        for length in set(map(len, rows)):
            indices = [index for index, row in enumerate(rows) if len(row) == length]
            best = model(torch.tensor([rows[index] for index in indices])).logits[:, -1].argmax(-1)
            for index, token in zip(indices, best.tolist(), strict=True):
                prompt = pairs[index]
                right += token in [tokenizer.encode(prompt.clean + answer)[-1] for answer in prompt.answers]
        scores[behaviour] = right / count
    return scores


def main() -> None:
    """Train, write the checkpoint and print the accuracy on held-out combinations."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--steps", type=int, default=STEPS)
    options = arguments.parse_args()
    model = train(options.seed, options.steps)
    options.out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(options.out)
    save_tokenizer(vocabulary(), POSITIONS, options.out)
    tokenizer = word_level_tokenizer(vocabulary())
    for behaviour, score in accuracy(model, tokenizer, 500, seed=2, among=Combinations.HELD_OUT).items():
        print(f"held out, {behaviour}: {score:.3f}")


if __name__ == "__main__":
    main()
