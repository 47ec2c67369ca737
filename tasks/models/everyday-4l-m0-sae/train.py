"""Train a TopK autoencoder of what one MLP writes, saved as SAELens saves them: `python train.py --out DIR [--seed 0]`.

By default of m0 of `everyday-4l`, on the sentences that the model was trained on. With `--model` and `--texts` of any
MLP of a Hugging Face checkpoint, on a text file, such as one layer of SmolLM2.

Source: Gao et al. 2024 (arXiv:2406.04093), sections 2.3 and 2.4 and appendix A.2 (dead features).
"""

from __future__ import annotations

import argparse
import json
import math
import runpy
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

HERE = Path(__file__).parent
RATE, BATCH, AUXILIARY, DEAD_AFTER = 2e-3, 512, 1 / 32, 100  # the last in steps


class TopKAutoencoder(torch.nn.Module):
    """Features of activations, the `k` largest of which are on, with directions of length 1."""

    def __init__(self, mean: torch.Tensor, features: int, k: int) -> None:
        super().__init__()
        self.k = k
        directions = torch.nn.functional.normalize(torch.randn(features, len(mean)), dim=-1)
        self.W_dec, self.W_enc = torch.nn.Parameter(directions), torch.nn.Parameter(directions.T.clone())
        self.b_dec, self.b_enc = torch.nn.Parameter(mean.clone()), torch.nn.Parameter(torch.zeros(features))

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The activations, and what they are chosen from."""
        made = (x - self.b_dec) @ self.W_enc + self.b_enc
        best = made.topk(self.k, dim=-1)
        return torch.zeros_like(made).scatter(-1, best.indices, best.values.relu()), made

    def decode(self, features: torch.Tensor) -> torch.Tensor:
        """What the activations say."""
        return features @ self.W_dec + self.b_dec

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The reconstruction."""
        return self.decode(self.encode(x)[0])


def mlp_of(model: torch.nn.Module, layer: int) -> torch.nn.Module:
    """The MLP of a layer, whatever the checkpoint calls it."""
    return next(part for name, part in model.named_modules() if name.endswith(f".{layer}.mlp"))


class Activations:
    """What an MLP writes on sentences, and what the model makes of them with another output in its place."""

    def __init__(self, model: torch.nn.Module, layer: int) -> None:
        self.model, self.mlp = model.eval(), mlp_of(model, layer)

    @torch.no_grad()
    def of(self, tokens: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """The MLP's output at every token that is not padding; layers above it are not run."""
        found: list[torch.Tensor] = []

        def stop(_module, _inputs, output):
            found.append(output)
            raise StopIteration

        handle = self.mlp.register_forward_hook(stop)
        try:
            self.model(tokens, attention_mask=valid.long(), use_cache=False)
        except StopIteration:
            pass
        finally:
            handle.remove()
        return found[0][valid]

    @torch.no_grad()
    def losses(self, tokens: torch.Tensor, valid: torch.Tensor, change) -> torch.Tensor:
        """The model's loss at every next token, with the MLP's output changed."""
        handle = self.mlp.register_forward_hook(lambda _module, _inputs, output: change(output))
        try:
            logits = self.model(tokens, attention_mask=valid.long(), use_cache=False).logits
        finally:
            handle.remove()
        found = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
        )
        return found[valid[:, 1:].flatten()]


def sentences(seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of the sentences that `everyday-4l` was trained on, without end."""
    train = runpy.run_path(str(HERE.parent / "everyday-4l" / "train.py"))
    stream = train["Sentences"](seed)
    while True:
        for mixture in train["MIXTURE"]:
            tokens, labels, _ = stream.batch(mixture)
            yield tokens, labels != -100


def lines(path: Path, tokenizer, length: int, rows: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of a text file, cut into pieces of one length, over and over."""
    ids = tokenizer(path.read_text("utf-8"), verbose=False)["input_ids"]
    pieces = torch.tensor(ids[: len(ids) // length * length]).view(-1, length)
    order = torch.randperm(len(pieces), generator=torch.Generator().manual_seed(0))
    while True:
        for some in order.split(rows):
            yield pieces[some], torch.ones_like(pieces[some], dtype=torch.bool)


def gathered(activations: Activations, batches, count: int) -> torch.Tensor:
    """What the MLP writes on so many tokens."""
    parts, total = [], 0
    for tokens, valid in batches:
        parts.append(activations.of(tokens, valid))
        total += len(parts[-1])
        if total >= count:
            return torch.cat(parts)[:count]
    raise AssertionError("the batches never end")


def train(x: torch.Tensor, features: int, k: int, steps: int) -> TopKAutoencoder:
    """The autoencoder of these activations; Adam, and features that are never on learn from what is left over."""
    made = TopKAutoencoder(x.mean(0), features, k)
    spread = (x - x.mean(0)).square().sum(-1).mean()
    optimizer = torch.optim.Adam(made.parameters(), lr=RATE, betas=(0.9, 0.999))
    idle, start = torch.zeros(features), time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
        some = x[torch.randint(len(x), (BATCH,))]
        active, before = made.encode(some)
        left = some - made.decode(active)
        loss = left.square().sum(-1).mean() / spread
        idle = torch.where((active > 0).any(0), torch.zeros_like(idle), idle + 1)
        dead = idle > DEAD_AFTER
        if int(dead.sum()) >= k:
            best = before[:, dead].topk(k, dim=-1)
            again = torch.zeros_like(before[:, dead]).scatter(-1, best.indices, best.values.relu())
            auxiliary = (left.detach() - again @ made.W_dec[dead]).square().sum(-1).mean() / spread
            loss = loss + AUXILIARY * auxiliary
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            made.W_dec.div_(made.W_dec.norm(dim=-1, keepdim=True))
        if step % 500 == 499:
            print(f"step {step + 1:5d}  unexplained {loss.item():.4f}  {time.perf_counter() - start:.0f} s", flush=True)
    return made.eval()


@torch.no_grad()
def card(made: TopKAutoencoder, activations: Activations, batches, count: int, losses_of: int) -> dict[str, float]:
    """How good it is on other sentences: what it explains, how many features are on, and what the model loses by it."""
    x = gathered(activations, batches, count)
    active, _ = made.encode(x)
    unexplained = (x - made.decode(active)).square().sum() / (x - x.mean(0)).square().sum()
    mean, losses = x.mean(0), {"clean": 0.0, "reconstructed": 0.0, "mean": 0.0}
    for _ in range(losses_of):
        tokens, valid = next(batches)
        losses["clean"] += float(activations.losses(tokens, valid, lambda output: output).mean()) / losses_of
        losses["reconstructed"] += float(activations.losses(tokens, valid, made).mean()) / losses_of
        losses["mean"] += float(activations.losses(tokens, valid, mean.expand_as).mean()) / losses_of
    return {
        "explained variance": 1 - float(unexplained),
        "features on per token": float((active > 0).sum(-1).float().mean()),
        "dead features": int((active == 0).all(0).sum()),
        **{f"loss, {name}": loss for name, loss in losses.items()},
        "loss recovered": (losses["mean"] - losses["reconstructed"]) / (losses["mean"] - losses["clean"]),
    }


def main() -> None:
    """Train, save and print the numbers of the card."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--model", type=Path, default=HERE.parent / "everyday-4l")
    arguments.add_argument("--texts", type=Path, help="a text file [the sentences everyday-4l was trained on]")
    arguments.add_argument("--layer", type=int, default=0)
    arguments.add_argument("--features", type=int, default=512)
    arguments.add_argument("--k", type=int, default=12)
    arguments.add_argument("--tokens", type=int, default=150_000)
    arguments.add_argument("--steps", type=int, default=3000)
    arguments.add_argument("--losses", type=int, default=20, help="batches to measure the model's loss on")
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    torch.manual_seed(options.seed)
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    activations = Activations(model, options.layer)
    if options.texts is None:
        batches, others = sentences(options.seed), sentences(options.seed + 1)
    else:
        tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
        batches = lines(options.texts, tokenizer, 64, 16)
        others = batches
    start = time.perf_counter()
    x = gathered(activations, batches, options.tokens)
    print(f"{len(x):,} tokens in {time.perf_counter() - start:.0f} s", flush=True)
    made = train(x, options.features, options.k, options.steps)
    options.out.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.detach().contiguous() for name, weight in made.named_parameters()},
              options.out / "sae_weights.safetensors")  # fmt: skip
    config = {
        "architecture": "topk", "k": options.k, "rescale_acts_by_decoder_norm": False,
        "d_in": x.shape[1], "d_sae": options.features, "dtype": "float32", "device": "cpu",
        "apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none",
        "metadata": {
            "model_name": options.model.name, "hook_name": f"blocks.{options.layer}.hook_mlp_out",
            "sae_lens_version": "6.0.0",  # without a version SAELens looks elsewhere for the hook
        },
    }  # fmt: skip
    (options.out / "cfg.json").write_text(json.dumps(config, indent=2) + "\n")
    for name, value in card(made, activations, others, options.tokens // 3, options.losses).items():
        print(f"{name}: {value:.4g}")


if __name__ == "__main__":
    main()
