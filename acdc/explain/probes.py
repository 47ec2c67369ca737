"""Linear probes: can a slot's word be told from the residual stream at a layer and position, and does it matter?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.errors import UnmeasurableBehaviour
from acdc.explain.estimates import plain
from acdc.explain.final_metric import measured
from acdc.explain.heat_map import Scale, draw
from acdc.explain.named_positions import NamedPositions
from acdc.explain.patched_batch import PatchedBatch
from acdc.explain.patching import bounds
from acdc.explain.positions import END, position_names
from acdc.graphs.execution.restoring import Stream, streams
from acdc.problem import Problem
from acdc.progress import Progress
from acdc.tasks.prompts import PromptPairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from acdc.judges.distance import Watch

_WORDS = 6
"""How many of the words of a slot are told apart at most: the most frequent ones."""
_EACH = 6
"""How many prompts must have a word at least."""
_ENOUGH = 24
"""And how many prompts of a word are probed on at most."""
_FOLDS = 3

_Features = dict[tuple[int, str], npt.NDArray[np.float64]]
_Cell = tuple[int, int]  # of a map: its row and its column


@dataclass(frozen=True)
class ProbeTarget:
    """What is read where: the word of a slot at the position of a name; `words` are told apart, on `prompts`."""

    slot: str
    position: str
    words: int
    prompts: int

    @property
    def name(self) -> str:
        """Both in words."""
        return f"{self.slot} at {self.position}"


@dataclass(frozen=True)
class Probes:
    """How well words are decoded before each layer (row), by target (column).

    `accuracy` is that of a cross-validated logistic regression on the residual stream of clean prompts; `control` the
    same with the words shuffled among the prompts, so that their difference is the probe's selectivity. `lost` is the
    fraction of the behaviour that goes with the probe's directions (the others' mean stays), on prompts that the probe
    has not seen, and `lost_at_random` with as many random directions. NaN where this was not measured.

    Source: Hewitt and Liang 2019, Designing and Interpreting Probes with Control Tasks; Elazar et al. 2021.
    """

    layers: tuple[int, ...]
    targets: tuple[ProbeTarget, ...]
    accuracy: npt.NDArray[np.float64]
    control: npt.NDArray[np.float64]
    lost: npt.NDArray[np.float64]
    lost_at_random: npt.NDArray[np.float64]

    @property
    def selectivity(self) -> npt.NDArray[np.float64]:
        """By how much the accuracy is above that of the control task."""
        return self.accuracy - self.control

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        names = ("accuracy", "control", "lost", "lost_at_random")
        targets = [{name: getattr(t, name) for name in t.__dataclass_fields__} for t in self.targets]
        return {"layers": list(self.layers), "targets": targets, **{name: plain(getattr(self, name)) for name in names}}

    def plot(self) -> Figure:
        """Four maps: accuracy and its control above, what is lost and its control below."""
        maps = {
            "accuracy": self.accuracy,
            "accuracy, shuffled words (control)": self.control,
            "lost without the probe's directions": self.lost,
            "lost without random directions (control)": self.lost_at_random,
        }
        return draw(
            maps,
            rows=[str(layer) for layer in self.layers],
            columns=[target.name for target in self.targets],
            title="Linear probes of the residual stream before the layer",
            scale=Scale("accuracy, or fraction of the behaviour", 1.0),
            across=2,
        )


def probes(
    problem: Problem,
    reading: PromptPairs,
    layers: Sequence[int] | None = None,
    seed: int = 0,
    *,
    watch: Watch | None = None,
) -> Probes:
    """Probe for the words of slots on the prompts of `reading`, and take out what is found on those of the problem.

    Prompts of the problem are left out of `reading`; the layers are all where none are named.

    Raises: UnmeasurableBehaviour where no slot has two words with enough prompts.
    """
    seen = {pair.clean for pair in problem.pairs.pairs}
    reading = PromptPairs(tuple(pair for pair in reading.pairs if pair.clean not in seen))
    layers = tuple(range(problem.graph.n_layers)) if layers is None else tuple(layers)
    targets = dict(_targets(problem, reading)) if len(reading) else {}
    if not targets:
        raise UnmeasurableBehaviour(
            f"no slot has two words with {_EACH} prompts each, beside those that are explored: got {len(reading)} "
            "prompts to probe on; give more prompts (--prompts), or a task with slots"
        )
    features = _features(problem, reading, layers, {target.position for target in targets})
    shape = (len(layers), len(targets))
    accuracy, control = np.full(shape, np.nan), np.full(shape, np.nan)
    rng = np.random.default_rng(seed)
    directions: dict[_Cell, tuple[_Subspace, _Subspace]] = {}
    total = len(layers) * len(targets)
    for column, (target, words) in enumerate(targets.items()):
        chosen = np.array([index for index, word in enumerate(words) if word is not None])
        labels = np.array([words[index] for index in chosen])
        for row, layer in enumerate(layers):
            x = features[layer, target.position][chosen]
            accuracy[row, column] = _accuracy(x, labels, seed)
            control[row, column] = _accuracy(x, rng.permutation(labels), seed)
            found = _Subspace.of(x, labels)
            directions[row, column] = found, found.like_it(rng)
            if watch is not None:
                watch(Progress("probes", column * len(layers) + row + 1, total))
    lost, at_random = _lost(problem, layers, [target.position for target in targets], directions)
    return Probes(layers, tuple(targets), accuracy, control, lost, at_random)


def _targets(problem: Problem, reading: PromptPairs) -> Iterator[tuple[ProbeTarget, list[str | None]]]:
    """Of every slot where it stands last and where prompts are scored, its word in every prompt; None for rare words,
    and in prompts that have not that position.
    """
    named = NamedPositions.of(replace(problem, pairs=reading))
    here = [{*position_names(pair, problem.model.tokenizer)} for pair in reading.pairs]
    slots = dict.fromkeys(slot for pair in reading.pairs for slot, _ in pair.text.wording.filling)
    for slot in slots:
        own = [name for name in named.names if name == slot or name.removeprefix(f"{slot} ").isdigit()]
        for position in dict.fromkeys((*own[-1:], END)) if own else ():
            words = [
                dict(pair.text.wording.filling).get(slot) if position in has else None
                for pair, has in zip(reading.pairs, here, strict=True)
            ]
            counts = Counter(word for word in words if word is not None)
            common = {word for word, count in counts.most_common(_WORDS) if count >= _EACH}
            if len(common) >= 2:
                met: Counter[str | None] = Counter()
                known: list[str | None] = []
                for word in words:
                    met[word] += 1
                    known.append(word if word in common and met[word] <= _ENOUGH else None)
                yield ProbeTarget(slot, position, len(common), sum(word is not None for word in known)), known


def _features(problem: Problem, reading: PromptPairs, layers: Sequence[int], positions: set[str]) -> _Features:
    """The clean residual stream before each layer at each position, the last of that name, of every prompt; NaN where
    a prompt has none.
    """
    asked = replace(problem, pairs=reading, carried_from=None)
    named = NamedPositions.of(asked)
    width = problem.graph.d_model
    found = {(layer, name): np.zeros((len(reading), width)) for layer in layers for name in positions}
    model = problem.model
    for batch in reading.once().batches(64, padded=model.ignores_padding):
        tokens = batch.to(model.device)
        with torch.no_grad():
            run = streams(model, model.embed(tokens.clean), model.geometries(tokens.clean.shape[1]))
        where = named.where(batch, tokens.clean.shape[1])
        rows, prompts = torch.arange(len(batch)), batch.index.numpy()
        for name in positions:
            last = where[named.names.index(name)].long() * torch.arange(1, where.shape[-1] + 1)
            at = last.amax(-1) - 1
            for layer in layers:
                read = run[layer].before[rows, at].double().masked_fill(at[:, None] < 0, torch.nan)
                found[layer, name][prompts] = read.cpu().numpy()
    return found


def _accuracy(x: npt.NDArray[np.float64], labels: npt.NDArray[np.str_], seed: int) -> float:
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    folds = StratifiedKFold(min(_FOLDS, min(Counter(labels.tolist()).values())), shuffle=True, random_state=seed)
    return float(cross_val_score(_regression(), x, labels, cv=folds).mean())


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))


@dataclass(frozen=True)
class _Subspace:
    """Directions that are taken out of a residual stream, which keeps its mean along them."""

    basis: Float[Tensor, "direction d_model"]
    mean: Float[Tensor, " d_model"]

    @classmethod
    def of(cls, x: npt.NDArray[np.float64], labels: npt.NDArray[np.str_]) -> _Subspace:
        """The directions of a probe that tells the labels apart."""
        scaler, regression = _regression().fit(x, labels).named_steps.values()
        weights = regression.coef_ / scaler.scale_
        _, strengths, rows = np.linalg.svd(weights - (weights.mean(0) if len(weights) > 1 else 0), full_matrices=False)
        kept = rows[strengths > 1e-9 * max(strengths.max(), 1e-300)]
        return cls(torch.from_numpy(kept.copy()), torch.from_numpy(x.mean(0)))

    def like_it(self, rng: np.random.Generator) -> _Subspace:
        """As many random directions."""
        drawn, _ = np.linalg.qr(rng.standard_normal(self.basis.T.shape))
        return replace(self, basis=torch.from_numpy(drawn.T.copy()))

    def without(self, x: Float[Tensor, "*any d_model"]) -> Float[Tensor, "*any d_model"]:
        """What is left."""
        basis, mean = self.basis.to(x), self.mean.to(x)
        return x - (x - mean) @ basis.T @ basis


def _lost(
    problem: Problem,
    layers: Sequence[int],
    positions: Sequence[str],
    directions: Mapping[_Cell, tuple[_Subspace, _Subspace]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The fractions of the behaviour that go with a probe's directions, and with random ones, of the clean run."""
    full, none = bounds(problem)
    named = NamedPositions.of(problem)
    left = torch.full((2, len(layers), len(positions), len(problem.pairs)), torch.nan, dtype=torch.float64)
    for batch in problem.batches:
        runs = PatchedBatch.of(problem, batch)
        where = named.where(batch.prompts, batch.runs.length)
        clean, prompts = runs.restored.source, batch.prompts.prompts.cpu()
        for (row, column), subspaces in directions.items():
            layer, position = layers[row], positions[column]
            if position not in named.names:
                continue
            before, site = clean[layer].before, where[named.names.index(position)][None]
            for kind, subspace in enumerate(subspaces):
                source = [*clean[:layer], Stream(subspace.without(before), before, before), *clean[layer + 1 :]]
                with torch.no_grad():
                    final = replace(runs.restored, base=clean, source=tuple(source)).residual([layer], site)[0]
                    left[kind, row, column, prompts] = measured(problem, batch, final)[0]
        del batch, runs
    lost, at_random = ((full - left).mean(-1) / (full - none).mean()).numpy()
    return lost, at_random
