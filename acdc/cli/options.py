"""Options in one form: a default that is not None stands in brackets at the end of its one line of help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

CHOICES = """\b
Ablations, what an edge outside the circuit carries:
  resample         what its sender writes on the corrupt prompt
  mean             the mean of that over all corrupt prompts and positions
  mean-positional  the mean of that over the corrupt prompts, by position
  zero             nothing
\b
Metrics (and their other names):
  logit_difference (logit_diff)            mean logit: answers - distractors
  probability_difference (prob_diff)       probability: answers - distractors
  log_probability_difference (log_prob_diff)
                                           log p: whole answers - distractors
  kl (kl_div)                              KL from the full model, in nats
  nll                                      -log p of the answers, in nats
  accuracy                                 how often an answer is likeliest
  l2                                       distance from the model's logits"""


def option(*names: str, takes: str, is_: str) -> Any:
    """An option with a value: what it `takes` in one word, and what it `is_` in one line."""
    # The parser's own `[default: ...]` would break the line and knows nothing of defaults that depend on the task.
    return typer.Option(*names, metavar=takes, help=is_, show_default=False)


def flag(*names: str, is_: str) -> Any:
    """An option without a value."""
    return typer.Option(*names, help=is_, show_default=False)


def argument(name: str, *, is_: str) -> Any:
    """What a command is about."""
    return typer.Argument(metavar=name, help=is_, show_default=False)


AsJson = Annotated[bool, flag("--json", is_="Print JSON on stdout, and nothing else there")]
CircuitPath = Annotated[Path, argument("CIRCUIT", is_="A circuit.json, or the directory that holds one.")]
Anyway = Annotated[bool, flag("--anyway", is_="Go on though model, tokenizer or prompts have changed")]
Device = Annotated[str, option("--device", takes="NAME", is_="cpu, cuda, cuda:1, mps, ... [cpu]")]

# Choices that are a circuit's own unless another is given.
ItsTask = Annotated[str | None, option("--task", takes="NAME", is_="A task's name or a behaviour file [the circuit's]")]
ItsModel = Annotated[
    str | None, option("--model", "-m", takes="NAME", is_="Shipped model, directory or hub name [the circuit's]")
]
ItsAblation = Annotated[
    str | None, option("--ablation", takes="KIND", is_="What missing edges carry, see below [the circuit's]")
]
ItsDtype = Annotated[
    str | None, option("--dtype", takes="NAME", is_="float64, float32, bfloat16 or float16 [the circuit's]")
]


def circuit_file(given: Path) -> Path:
    """The circuit's file, where its directory may have been given."""
    return given / "circuit.json" if given.is_dir() else given
