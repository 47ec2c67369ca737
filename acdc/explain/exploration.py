"""Explore a behaviour before the search: lens, attribution, patching, attention, probes and steering in one value."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from acdc.correctness import correct
from acdc.discovery.defaults import EXPLORED, EXPLORED_IF_LARGE, LARGE
from acdc.errors import UnmeasurableBehaviour
from acdc.explain.attention import attention
from acdc.explain.attention_table import AttentionTable
from acdc.explain.direct_logits import DirectLogits, direct_logits
from acdc.explain.logit_lens import LogitLens, logit_lens
from acdc.explain.patched_metric import PARTS
from acdc.explain.patching import PatchingMap, patching
from acdc.explain.probes import Probes, probes
from acdc.explain.screen import Screen
from acdc.explain.steering import Steering, steering
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.models import load_named
from acdc.problem import Problem
from acdc.progress import Progress
from acdc.request import Request
from acdc.settings import Setup
from acdc.tasks.errors import BadPrompts
from acdc.tasks.metrics import metric
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from acdc.judges.distance import Watch

_PROBED = 384
"""How many prompts are drawn for probes."""
_LAYERS = 8
"""At how many layers probes and steering look at most, spread over the model."""
METRIC = "logit_difference"
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Explored:
    """What was explored: the task and the model by name, the metric, how many prompts and the seed."""

    task: str
    model: str
    metric: str
    prompts: int
    seed: int


@dataclass(frozen=True)
class Parts:
    """What was found; None where a part was left out, and no maps where all were."""

    lens: LogitLens | None
    direct: DirectLogits | None
    patching: tuple[PatchingMap, ...]
    attention: AttentionTable
    probes: Probes | None
    steering: Steering | None


@dataclass(frozen=True)
class Exploration:
    """Everything that was looked at, what the clean and the corrupt prompts score, and notes on what was left out."""

    of: Explored
    bounds: tuple[float, float]
    right: float
    parts: Parts
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        of = {name: getattr(self.of, name) for name in self.of.__dataclass_fields__}
        parts = self.parts
        return {
            "schema": 1,
            **of,
            "clean": self.bounds[0],
            "corrupt": self.bounds[1],
            "right": self.right,
            "notes": list(self.notes),
            "logit_lens": parts.lens and parts.lens.to_json(),
            "direct_logits": parts.direct and parts.direct.to_json(),
            "patching": [one.to_json() for one in parts.patching],
            "attention": parts.attention.to_json(),
            "probes": parts.probes and parts.probes.to_json(),
            "steering": parts.steering and parts.steering.to_json(),
        }

    def figures(self) -> Iterator[tuple[str, Figure]]:
        """Every figure with the name of its file."""
        parts = self.parts
        named: dict[str, Any] = {"logit-lens": parts.lens, "direct-logits": parts.direct}
        named |= {f"patching-{one.part}": one for one in parts.patching}
        named |= {"attention": parts.attention, "probes": parts.probes, "steering": parts.steering}
        for name, found in named.items():
            if found is not None:
                yield name, found.plot()


def explore(
    task: str | Path | Task,
    model: str | Model | None = None,
    *,
    setup: Setup | None = None,
    full: bool = False,
    watch: Watch | None = None,
) -> Exploration:
    """Explore a behaviour on a task's own discovery prompts, clean against corrupt.

    `setup` says by which metric (None: the logit difference, or that of whole answers), with how many prompts and which
    seed; what it says of ablation does not matter. On models of 5,000 edges or more only the strongest cells of maps
    are patched on all prompts, and nothing is probed, unless `full`. `watch` hears of every piece of work done.

    Raises: as `discover`.
    """
    asked = Request.of(task, model)
    loaded = model if isinstance(model, Model) else load_named(asked.model, setup or Setup())
    large = loaded.graph.n_edges >= LARGE and not full
    setup = setup or Setup(prompts=EXPLORED_IF_LARGE if loaded.graph.n_edges >= LARGE else EXPLORED)
    pairs = asked.task.build(loaded.tokenizer, setup.prompts, setup.seed).discovery
    named = setup.metric or ("log_probability_difference" if pairs.whole else METRIC)
    problem = Problem(loaded, pairs, metric(named), Ablation.RESAMPLE)
    of = Explored(asked.task.name, asked.model, named, len(pairs), setup.seed)
    return explored(problem, of, None if large else _more(asked.task, loaded, setup), large=large, watch=watch)


def explored(
    problem: Problem, of: Explored, reading: PromptPairs | None, *, large: bool = False, watch: Watch | None = None
) -> Exploration:
    """Explore a problem's prompts; probes are of the prompts of `reading` (None: there are none)."""
    tell = watch or (lambda progress: None)
    notes: list[str] = []

    def part(name: str, make: Callable[[], _Found]) -> _Found | None:
        tell(Progress(name, 0, 1))
        try:
            return make()
        except UnmeasurableBehaviour as error:
            notes.append(f"no {name}: {error}")
            return None

    screen = Screen() if large else None
    layers = _spread(problem.graph.n_layers)
    found = Parts(
        part("logit lens", lambda: logit_lens(problem, of.seed)),
        part("direct logits", lambda: direct_logits(problem, of.seed)),
        part("patching", lambda: patching(problem, tuple(PARTS), of.seed, screen=screen, watch=watch)) or (),
        AttentionTable(attention(problem)),
        None if reading is None else part("probes", lambda: probes(problem, reading, layers, of.seed, watch=watch)),
        part("steering", lambda: steering(problem, layers, seed=of.seed)),
    )
    if screen is not None:
        notes += _less(screen, found.patching, of.prompts)
    full, none = _ends(problem)
    right = float(correct(problem).double().mean())
    return Exploration(of, (full, none), right, found, tuple(dict.fromkeys(notes)))


def pictures(found: Exploration) -> Iterator[tuple[str, bytes]]:
    """Every figure as PNG and as SVG, with the names of the files."""
    for name, figure in found.figures():
        for form in ("png", "svg"):
            picture = io.BytesIO()
            figure.savefig(picture, format=form, dpi=130)
            figure.set_layout_engine("none")  # it stands where it stands, and to work that out again takes a second
            yield f"{name}.{form}", picture.getvalue()


def _ends(problem: Problem) -> tuple[float, float]:
    full, none = problem.measure([Circuit.full(problem.graph), Circuit.empty(problem.graph)])[0]
    return float(full.mean()), float(none.mean())


def _less(screen: Screen, maps: tuple[PatchingMap, ...], prompts: int) -> Iterator[str]:
    """What was left out because the model is large."""
    if not all(one.rests_on.complete.all() for one in maps):
        few = max(int(one.rests_on.prompts[~one.rests_on.complete].max()) for one in maps)
        yield (
            f"on a model of this size, every cell of a patching map is measured on {few} typical "
            f"prompt{'s' if few > 1 else ''}, and only the {screen.cells} that change most there on all {prompts}; a "
            "cell that matters on others alone is missed; --full measures all on all, which takes many times as long"
        )
    yield "left out on a model of this size: probes; --full has them"


def _more(task: Task, model: Model, setup: Setup) -> PromptPairs | None:
    """Prompts to probe on, with another seed; fewer where there are not so many, None where there are none."""
    count = _PROBED
    while count > setup.prompts:
        try:
            return task.prompts.pairs(model.tokenizer, count, np.random.default_rng(setup.seed + 1))
        except BadPrompts:  # the task has not so many
            count //= 2
    return None


def _spread(layers: int) -> tuple[int, ...]:
    """Some layers from the first to the last, evenly."""
    return tuple(dict.fromkeys(round(at) for at in np.linspace(0, layers - 1, min(_LAYERS, layers)).tolist()))
