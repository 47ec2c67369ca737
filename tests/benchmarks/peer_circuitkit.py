"""EAP-IG of `circuitkit`, by its public functions, as a process that `tests.benchmarks.peer` starts in an environment
that holds that package.

Its loader of prompts takes them as a CSV file; `templated` says that they stand as they are, with no token before them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.peer_process import ScoringTask, serve

COLUMNS = ("clean", "corrupted", "correct_idx", "incorrect_idx")


def load(task: ScoringTask, directory: Path) -> Callable[[], tuple[int, Callable[[Path], None]]]:
    """Scoring all prompts in one batch.

    Raises: ValueError when its tokens are other than ours.
    """
    import circuitkit
    from circuitkit.backends.eap.attribute import attribute
    from circuitkit.backends.eap.eap_utils import tokenize_plus
    from circuitkit.backends.eap.graph import Graph
    from circuitkit.backends.eap.metrics import logit_diff_span
    from circuitkit.data.eap_dataset import EAPDiscoveryDataset

    with (directory / "prompts.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        rows.writerows([one.clean, one.corrupt, one.answer, one.distractor] for one in task.prompts)
    model = circuitkit.load_model(task.model, dtype="float32", device="cpu")
    for prompt in task.prompts:
        texts = [prompt.clean, prompt.corrupt]
        if tokenize_plus(model, texts, templated=True)[0].tolist() != [prompt.clean_tokens, prompt.corrupt_tokens]:
            raise ValueError(f"other tokens than ours for {prompt.clean!r} or {prompt.corrupt!r}")
    dataset = EAPDiscoveryDataset(str(directory / "prompts.csv"), templated=True)
    loader = dataset.to_dataloader(len(task.prompts))

    def loss(*arguments: Any, **named: Any) -> Any:
        # a sum, which it divides by the number of prompts: then scores are shares of the mean, as ours are
        return -logit_diff_span(*arguments, **{**named, "mean": False}).sum()

    def score() -> tuple[int, Callable[[Path], None]]:
        graph = Graph.from_model(model)
        attribute(model, graph, loader, loss, "EAP-IG-inputs", ig_steps=task.points, quiet=True)
        return task.points, lambda path: graph.to_json(str(path))

    return score


if __name__ == "__main__":
    serve(load, "torch", "transformer_lens", "circuitkit")
