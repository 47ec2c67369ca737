"""Train `periodic-2l`, a two-layer GPT-2 that continues periodic sequences: `python train.py --out DIR [--seed 0]`."""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from acdc.tasks.builtin.combinations import is_held_out
from acdc.tasks.builtin.periodic import SYMBOLS
from acdc.tasks.models.training.word_level import save_tokenizer

POSITIONS, SPECIAL = 48, 2  # the tokenizer's two special tokens come before the symbols
BATCH, RATE, DECAY = 64, 4e-3, 0.1
LEARNING, RECOVERY, SETTLING = 1000, 200, 700  # steps
ENOUGH = 0.97  # right predictions that the rest must reach for a component to be given up


def held_out_neighbours() -> np.ndarray:
    """[symbol, symbol] True where two symbols never stand side by side in training, in either order."""
    table = np.zeros((len(SYMBOLS), len(SYMBOLS)), dtype=bool)
    for (i, first), (j, second) in itertools.combinations(enumerate(SYMBOLS), 2):
        table[i, j] = table[j, i] = is_held_out(*sorted((first, second)))
    return table


class Sequences:
    """An endless stream of rows that repeat a pattern, and the next token wherever it is determined."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.held_out = held_out_neighbours()

    def pattern(self, period: int) -> np.ndarray:
        """Different symbols of which no neighbours are held out, the last and the first included."""
        while True:
            drawn = self.rng.choice(len(SYMBOLS), period, replace=False)
            if not self.held_out[drawn, np.roll(drawn, -1)].any():
                return drawn

    def row(self, period: int) -> tuple[list[int], list[int]]:
        """Tokens [pos] and labels [pos], -100 where the next token cannot be known.

        Half the rows begin with up to 8 unrelated symbols, or with the end-of-text token that some libraries put before
        a prompt. In two rows of three the pattern jumps to another of its symbols now and then, so that distance alone
        does not tell what comes next; the symbols that it has jumped from are not scored any more.
        """
        rng, pattern = self.rng, self.pattern(period)
        lead = int(rng.integers(1, 9)) if rng.random() < 0.5 else 0
        tokens = (SPECIAL + rng.integers(0, len(SYMBOLS), lead)).tolist()
        if lead and rng.random() < 0.25:
            tokens[0] = 0
        labels = [-100] * lead
        restless = 0.15 if rng.random() < 2 / 3 else 0.0
        known: set[int] = set()
        left: set[int] = set()
        index = 0
        while len(tokens) <= POSITIONS:
            tokens.append(SPECIAL + int(pattern[index]))
            following = (index + 1) % period
            target = int(rng.integers(period)) if rng.random() < restless else following
            if self.held_out[pattern[index], pattern[target]]:
                target = following
            scored = target == following and index in known - left
            labels.append(SPECIAL + int(pattern[target]) if scored else -100)
            (known if target == following else left).add(index)
            index = target
        return tokens[:POSITIONS], labels[:POSITIONS]

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [batch, pos] and labels [batch, pos]; one half has period 1 to 5, the other 6 to 16."""
        periods = [int(self.rng.integers(*((1, 6) if row % 2 else (6, 17)))) for row in range(BATCH)]
        rows = [self.row(period) for period in periods]
        return torch.tensor([tokens for tokens, _ in rows]), torch.tensor([labels for _, labels in rows])


def untrained(seed: int) -> GPT2LMHeadModel:
    """GPT-2 in small; position embeddings start as waves, from which "the token before" is easily learnt."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=SPECIAL + len(SYMBOLS),
        n_positions=POSITIONS,
        n_embd=64,
        n_layer=2,
        n_head=4,
        initializer_range=0.1,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    angles = torch.arange(POSITIONS)[:, None] / POSITIONS ** (torch.arange(32) / 32)
    model.transformer.wpe.weight.data = 0.1 * torch.cat([angles.sin(), angles.cos()], dim=1)
    return model


def output_weights(model: GPT2LMHeadModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Each head's and each MLP's name and the weights through which it writes, as a view [d_head or d_mlp, d_model]."""
    for layer, block in enumerate(model.transformer.h):
        for head, weight in enumerate(block.attn.c_proj.weight.chunk(model.config.n_head)):
            yield f"a{layer}.h{head}", weight
        yield f"m{layer}", block.mlp.c_proj.weight


class Training:
    """A model, what it learns from, and the components that it has given up: their output weights stay zero."""

    def __init__(self, seed: int) -> None:
        self.model, self.sequences = untrained(seed), Sequences(seed)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=DECAY)
        self.given_up: set[str] = set()
        self.start = time.perf_counter()
        self.steps = 0

    def measure(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss and the share of right predictions on new rows."""
        tokens, labels = self.sequences.batch()
        logits = self.model(tokens, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return loss, (logits.argmax(-1) == labels)[labels != -100].float().mean()

    def run(self, rates: Iterable[float]) -> float:
        """Take one step per learning rate; return the share of right predictions over the last 20 steps."""
        recent: deque[float] = deque(maxlen=20)
        for rate in rates:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss, right = self.measure()
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.clear()
            recent.append(right.item())
            self.steps += 1
            if self.steps % 100 == 0:
                seconds = time.perf_counter() - self.start
                print(f"step {self.steps}: right {sum(recent) / len(recent):.4f}, {seconds:.0f} s", flush=True)
        return sum(recent) / len(recent)

    @torch.no_grad()
    def clear(self) -> None:
        """Set the output weights of what has been given up to zero."""
        for name, weight in output_weights(self.model):
            if name in self.given_up:
                weight.zero_()

    @torch.no_grad()
    def cheapest(self, needed: set[str]) -> str | None:
        """The component, if one is left that may be given up, whose absence costs the predictions least."""
        costs = {}
        state = self.sequences.rng.bit_generator.state
        for name, weight in output_weights(self.model):
            if name not in self.given_up | needed:
                kept = weight.clone()
                weight.zero_()
                self.sequences.rng.bit_generator.state = state  # the same rows for everyone
                costs[name] = self.measure()[0].item()
                weight.copy_(kept)
        return min(costs, key=lambda name: costs[name], default=None)

    def give_up_what_is_not_needed(self) -> None:
        """Switch off the cheapest component and train on, until the others can make up for none of those left."""
        needed: set[str] = set()
        while name := self.cheapest(needed):
            before = copy.deepcopy((self.model.state_dict(), self.optimizer.state_dict()))
            self.given_up.add(name)
            self.clear()
            right = self.run(itertools.repeat(RATE / 2, RECOVERY))
            print(f"without {name}: right {right:.4f}", flush=True)
            if right < ENOUGH:
                needed.add(name)
                self.given_up.remove(name)
                self.model.load_state_dict(before[0])
                self.optimizer.load_state_dict(before[1])


def train(seed: int) -> GPT2LMHeadModel:
    """The trained model; AdamW, no dropout.

    First it learns the behaviour. Several heads then do the same work, so it gives up heads and MLPs for as long as the
    rest can take over. In the end the learning rate falls to zero.
    """
    training = Training(seed)
    training.run(RATE * min(1.0, (step + 1) / 100) for step in range(LEARNING))
    training.give_up_what_is_not_needed()
    training.run(RATE / 2 * 0.5 * (1 + math.cos(math.pi * step / SETTLING)) for step in range(SETTLING))
    print("given up:", ", ".join(sorted(training.given_up)))
    return training.model.eval()


def main() -> None:
    """Train and write the checkpoint."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    model = train(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(options.out)
    save_tokenizer(SYMBOLS, POSITIONS, options.out)


if __name__ == "__main__":
    main()
