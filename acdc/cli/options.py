"""Options in one form: a default that is not None stands in brackets at the end of its one line of help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from acdc.graphs.ablation import ABLATIONS
from acdc.methods import METHODS
from acdc.tasks.known_metrics import METRICS


def methods_help() -> str:
    """What methods there are, a line each."""
    lines = {
        _names(name, entry.aliases): f"{entry.help} ({entry.source})" if entry.source else entry.help
        for name, entry in METHODS.items()
    }
    return paragraph("Methods:", lines, 22)


def choices_help() -> str:
    """What ablations and metrics there are, a line each."""
    ablations = {_names(kind.value, entry.aliases): entry.help for kind, entry in ABLATIONS.items()}
    metrics = {_names(name, entry.aliases): entry.help for name, entry in METRICS.items()}
    return "\n".join(
        (
            paragraph("Ablations, what an edge outside the circuit carries:", ablations, 22),
            paragraph("Metrics (and their other names):", metrics, 38),
        )
    )


def _names(name: str, aliases: Sequence[str]) -> str:
    return f"{name} ({', '.join(aliases)})" if aliases else name


def paragraph(title: str, lines: Mapping[str, str], width: int) -> str:
    """Names beside what they are, which stands below a name that is longer."""
    rows = []
    for name, is_ in lines.items():
        if len(name) > width:
            rows.append(f"  {name}")
        rows.append(f"  {name if len(name) <= width else '':<{width}} {is_}")
    return "\n".join(("\b", title, *rows))


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
PretrainedName = Annotated[str, argument("NAME", is_="A pretrained model's name (see `acdc models`).")]
Anyway = Annotated[bool, flag("--anyway", is_="Go on though model, tokenizer or prompts have changed")]
OnPlace = Annotated[str, option("--on", takes="WHERE", is_="local, ray or ray://HOST:PORT [local]")]
Device = Annotated[str, option("--device", takes="NAME", is_="cpu, cuda, mps; cuda:0,cuda:1; auto [cpu]")]

# Choices that are a circuit's own unless another is given.
ItsTask = Annotated[str | None, option("--task", takes="NAME", is_="A task's name or a behaviour file [the circuit's]")]
ItsModel = Annotated[
    str | None, option("--model", "-m", takes="NAME", is_="Name, directory, GGUF file or hub name [the circuit's]")
]
ItsAblation = Annotated[
    str | None, option("--ablation", takes="KIND", is_="What missing edges carry, see below [the circuit's]")
]
ItsDtype = Annotated[
    str | None, option("--dtype", takes="NAME", is_="float64, float32, bfloat16 or float16 [the circuit's]")
]


# What a discovery is asked for.
Behaviour = Annotated[str, argument("TASK_OR_FILE", is_="A task's name (see `acdc tasks`) or a behaviour file.")]
OnModel = Annotated[
    str | None, option("--model", "-m", takes="NAME", is_="Name, directory, GGUF file or hub name [the task's]")
]
How = Annotated[str | None, option("--method", takes="NAME", is_="How to search, see below [acdc; masks, if large]")]
Faithful = Annotated[
    float | None, option("--faithfulness", takes="F", is_="Goal: the smallest circuit that keeps this fraction [0.9]")
]
WithinKL = Annotated[
    float | None, option("--kl", takes="NATS", is_="Goal: the smallest within this mean KL of the model")
]
Accurate = Annotated[
    float | None, option("--accuracy", takes="F", is_="Goal: the smallest that keeps this part of the accuracy")
]
AtMost = Annotated[int | None, option("--edges", takes="N", is_="Goal: the most faithful circuit of at most N edges")]
Worth = Annotated[float | None, option("--threshold", takes="X", is_="Goal: every edge is worth X units of the metric")]
InMinutes = Annotated[
    float | None, option("--minutes", takes="N", is_="Goal: the knee of what N minutes allow [10, if large]")
]
Measured = Annotated[str | None, option("--metric", takes="NAME", is_="What is measured, see below [the task's]")]
Missing = Annotated[str, option("--ablation", takes="KIND", is_="What missing edges carry, see below [resample]")]
SplitInto = Annotated[
    str | None, option("--split", takes="PARTS", is_="Neurons of MLPs (m3, mlp:all), features of folders")
]
PartsRead = Annotated[bool, flag("--parts-read", is_="Parts of split MLPs are receivers of their own too")]
ByPosition = Annotated[str, option("--positions", takes="KIND", is_="Edges by position too: slots, or none [none]")]
Refine = Annotated[bool, flag("--refine", is_="Then drop single edges until the goal needs each one")]
Select = Annotated[
    str | None, option("--select", takes="RULE", is_="Scored edges: top, or greedy from the logits back [top]")
]
AtLevel = Annotated[str | None, option("--level", takes="LEVEL", is_="Coarse: down to node, slot or edge [edge]")]
Robust = Annotated[bool, flag("--robust", is_="Then attack it and learn from what makes it fail")]
Budget = Annotated[int | None, option("--budget", takes="N", is_="Robust: prompts that each attack tests [1000]")]
Bound = Annotated[
    float | None, option("--bound", takes="NATS", is_="Robust: learn from prompts of a higher KL than this [0.1]")
]
Growth = Annotated[
    float | None, option("--growth", takes="X", is_="Robust: at most X times the edges it had before [1.5]")
]
Steps = Annotated[int | None, option("--steps", takes="N", is_="Points on a path of integrated gradients [5]")]
Prompts = Annotated[
    int | None, option("--prompts", takes="N", is_="Prompts to find it and to judge it [64; 32, if large]")
]
Seed = Annotated[int, option("--seed", takes="N", is_="Seed of the prompts, and of masks and random [0]")]
OnlyCorrect = Annotated[bool, flag("--only-correct", is_="Leave out prompts that the model gets wrong")]
Precision = Annotated[str, option("--dtype", takes="NAME", is_="float64, float32, bfloat16 or float16 [float32]")]
MaxMemory = Annotated[float, option("--max-memory", takes="GB", is_="About how much a batch of trials may take [1.0]")]
DryRun = Annotated[bool, flag("--dry-run", is_="Only tell what it would cost; loads no weights")]
Sampled = Annotated[bool, flag("--sampled", is_="Dry run: load it and run half a minute of it")]
Resume = Annotated[bool, flag("--resume", is_="Go on where an interrupted run left its checkpoint")]
Out = Annotated[Path | None, option("--out", "-o", takes="DIR", is_="Where the files go [runs/<task>-<model>]")]
NoReport = Annotated[bool, flag("--no-report", is_="Measure and write no report.html, the page to look at")]
Quiet = Annotated[bool, flag("--quiet", "-q", is_="No progress, and only the essential lines")]


# What is asked of a circuit that is there.
ItsMetric = Annotated[str | None, option("--metric", takes="NAME", is_="What is measured, see below [the circuit's]")]
ItsPrompts = Annotated[int | None, option("--prompts", takes="N", is_="Prompts to judge it on [the circuit's]")]
ItsSeed = Annotated[int | None, option("--seed", takes="N", is_="Seed that the prompts are drawn with [the circuit's]")]
AtLeast = Annotated[float | None, option("--at-least", takes="F", is_="Exit with 1 if less than this fraction is kept")]
Full = Annotated[bool, flag("--full", is_="Ask everything, by all ablations and metrics; a verdict")]
Resamples = Annotated[int, option("--resamples", takes="N", is_="Discoveries on resampled prompts [20]")]
Seeds = Annotated[int, option("--seeds", takes="N", is_="Discoveries with other seeds: new prompts [5]")]
BesideCircuit = Annotated[
    Path | None, option("--out", "-o", takes="DIR", is_="Where the files go [where the circuit is]")
]
CutEdges = Annotated[int | None, option("--edges", takes="N", is_="The circuit of the first N edges that join")]
CutFaithful = Annotated[
    float | None, option("--faithfulness", takes="F", is_="The smallest that keeps this fraction, where they join")
]
CutOut = Annotated[Path | None, option("--out", "-o", takes="DIR", is_="Where the files go [<run>-<size>]")]
AttackPath = Annotated[Path, argument("ATTACK", is_="An attack.json, or the directory that holds one.")]
HypothesisPath = Annotated[Path, argument("FILE", is_="A hypothesis file, test_*.acdc.yaml; a new one is written.")]
CaseNumber = Annotated[int, option("--case", takes="N", is_="Which of the worst cases, counted from 1 [1]")]
PinAnyway = Annotated[bool, flag("--anyway", is_="Pin it though the circuit is not the attacked one")]
AtMostKL = Annotated[float | None, option("--at-most", takes="KL", is_="Bound, in nats [the file's, or 1]")]
OnlyParts = Annotated[
    str | None, option("--only", takes="PARTS", is_="Only these parts, see below, with commas between [all]")
]
VariationPrompts = Annotated[int, option("--prompts", takes="N", is_="Prompts of every variation [64]")]
Cross = Annotated[
    int | None, option("--cross", takes="N", is_="Cross N clean with N corrupt prompts [those that judge it]")
]
SearchBudget = Annotated[int, option("--budget", takes="N", is_="Prompts that the search tests [1000]")]
SearchShards = Annotated[
    int, option("--shards", takes="N", is_="Search in N parts that know nothing of each other [1]")
]
SearchSeed = Annotated[int, option("--seed", takes="N", is_="Seed of the search and of the intervals [0]")]
Diagnose = Annotated[int, option("--diagnose", takes="N", is_="Seek repairs of the N worst cases [3]")]
FailAbove = Annotated[
    float | None, option("--fail-above", takes="KL", is_="Exit with 1 if the worst KL found is above this")
]
AttackOut = Annotated[
    Path | None, option("--out", "-o", takes="DIR", is_="Where attack.json goes [the circuit's directory]")
]


def circuit_file(given: Path) -> Path:
    """The circuit's file, where its directory may have been given."""
    return given / "circuit.json" if given.is_dir() else given
