"""How near every architecture's arithmetic is to transformers' and to the oracle's, as a table for docs/models.md.

python -m tests.benchmarks.architectures [NAME ...]
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import torch

from acdc import graphs
from acdc.graphs.ablation import UNLEARNED
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from tests.checkpoints import ARCHITECTURES, build, write
from tests.graphs.oracle import anatomy_of, load_bridge, oracle_logits, oracle_outputs
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS, random_circuits
from tests.siblings import SIBLINGS, sibling
from tests.ungrouping import is_grouped, ungroup

CIRCUITS = 20


def from_transformers(directory: Path) -> tuple[float, float]:
    """The largest difference between our logits and transformers', both in float32, and the largest logit."""
    from transformers import AutoModelForCausalLM

    ours = graphs.load(directory).logits(CLEAN)
    original = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    with torch.no_grad():
        theirs = original(CLEAN).logits
    return float((ours - theirs).abs().max()), float(theirs.abs().max())


def from_oracle(directory: Path) -> float | None:
    """The largest difference between our logits and the oracle's, in float64, over circuits drawn at random.

    None for GPT-BigCode: TransformerLens has no bridge for a model of it with a key for every query head.
    """
    if directory.name == "gpt_bigcode":
        return None
    model, apart = graphs.load(directory, dtype=torch.float64), directory
    if is_grouped(directory):
        apart = directory.with_name(f"{directory.name}-ungrouped")
        ungroup(directory, apart)
    bridge, most = load_bridge(apart), 0.0
    edges, written = anatomy_of(bridge).edges(), oracle_outputs(bridge, CORRUPT)
    for seed, ablation in enumerate(UNLEARNED):
        circuits = random_circuits(edges, CIRCUITS, seed)
        ours = Executor(model, CLEAN, CORRUPT, POSITIONS, ablation).run(
            [Circuit.from_names(model.graph, names) for names in circuits]
        )
        for got, names in zip(ours, circuits, strict=True):
            wanted = oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, names, ablation.value, written)
            most = max(most, float((got - wanted).abs().max()))
    return most


def main() -> None:
    """Print the table, row by row."""
    warnings.simplefilter("ignore")
    print("| architecture | transformers, float32 | largest logit | oracle, float64 |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or (*ARCHITECTURES, *SIBLINGS):
            directory = Path(folder) / name
            if name in SIBLINGS:
                write(sibling(name), directory)
            else:
                build(name, directory)  # type: ignore[arg-type]
            (apart, size), exact = from_transformers(directory), from_oracle(directory)
            print(f"| `{name}` | {apart:.1g} | {size:.2g} | {'' if exact is None else f'{exact:.1g}'} |", flush=True)


if __name__ == "__main__":
    main()
