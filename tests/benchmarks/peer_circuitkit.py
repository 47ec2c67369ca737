"""Edge attributions of `circuitkit`, by its public functions, as a process that `tests.benchmarks.peer` and
`tests.benchmarks.peer_frontier` start in an environment that holds that package.

Its loader of prompts takes them as a CSV file; `templated` says that they stand as they are, with no token before them.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.peer_process import ScoringTask, serve

COLUMNS = ("clean", "corrupted", "correct_idx", "incorrect_idx")


def load(task: ScoringTask, directory: Path) -> Callable[[], tuple[int, Callable[[Path], None]]]:
    """Scoring all prompts, so many in a batch.

    Raises: ValueError when its tokens are other than ours.
    """
    import circuitkit
    from circuitkit.backends.eap.attribute import attribute
    from circuitkit.backends.eap.eap_utils import tokenize_plus
    from circuitkit.backends.eap.graph import Graph
    from circuitkit.backends.eap.metrics import kl_div_span, logit_diff_span
    from circuitkit.data.eap_dataset import EAPDiscoveryDataset

    with (directory / "prompts.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        rows.writerows([one.clean, one.corrupt, one.answer, one.distractor] for one in task.prompts)
    model = circuitkit.load_model(_loadable(Path(task.model), directory), dtype="float32", device="cpu")
    for prompt in task.prompts:
        texts = [prompt.clean, prompt.corrupt]
        if tokenize_plus(model, texts, templated=True)[0].tolist() != [prompt.clean_tokens, prompt.corrupt_tokens]:
            raise ValueError(f"other tokens than ours for {prompt.clean!r} or {prompt.corrupt!r}")
    dataset = EAPDiscoveryDataset(str(directory / "prompts.csv"), templated=True)
    loader, scoring = dataset.to_dataloader(task.batch), task.scoring

    def loss(logits: Any, clean_logits: Any, *rest: Any) -> Any:
        # a sum, which it divides by the number of prompts: then scores are shares of the mean, as ours are
        if scoring.metric == "kl":  # a copy, since what inference mode made cannot be kept for a backward pass
            return kl_div_span(logits, clean_logits.clone(), *rest, mean=False).sum()
        return -logit_diff_span(logits, clean_logits, *rest, mean=False).sum()

    def score() -> tuple[int, Callable[[Path], None]]:
        graph = Graph.from_model(model)
        attribute(model, graph, loader, loss, scoring.method, ig_steps=scoring.points, quiet=True)
        return scoring.points, lambda path: graph.to_json(str(path))

    return score


def _loadable(checkpoint: Path, directory: Path) -> str:
    """The checkpoint, or for a GPT-2 a copy whose config says `n_ctx`, which its transformer_lens asks for."""
    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    if "n_positions" not in config or "n_ctx" in config:
        return str(checkpoint)
    copy = shutil.copytree(checkpoint, directory / "checkpoint")
    (copy / "config.json").write_text(json.dumps({**config, "n_ctx": config["n_positions"]}), "utf-8")
    return str(copy)


if __name__ == "__main__":
    serve(load, "torch", "transformer_lens", "circuitkit")
