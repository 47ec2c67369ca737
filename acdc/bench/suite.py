"""Every method on every model whose circuit is known, under every ablation: what was found, kept cell by cell."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acdc.bench import cell_files
from acdc.errors import AcdcError, BadSetting
from acdc.graphs.ablation import Ablation
from acdc.ground_truth import known_models
from acdc.methods import METHODS
from acdc.pieces.place import HERE, AbstractPlace
from acdc.pieces.work import AbstractWork
from acdc.settings import MOST_PROMPTS, Method, Setup

if TYPE_CHECKING:
    from acdc.ground_truth.known import Known
    from acdc.problem import Problem

SCHEMA = "acdc.bench/1"
MOST_SEEDS = 10_000
SLOW = ("masks", "exact-redundant")
"""Methods that are left out where it must be quick, unless they are asked for."""


@dataclass(frozen=True)
class Cell:
    """One measurement: a method on a model made, or prompted, from a seed, under an ablation."""

    model: str
    seed: int
    ablation: Ablation
    method: str

    @property
    def words(self) -> str:
        """The cell in a few words."""
        return f"{self.model}, seed {self.seed}, {self.ablation.value}, {self.method}"

    @property
    def file(self) -> str:
        """What the file that keeps its result is called."""
        return f"{self.model}-{self.seed}-{self.ablation.value}-{self.method}.json"


@dataclass(frozen=True)
class Done:
    """A cell whose result is there, and how many are, of how many; `kept` says that it was there before."""

    cell: Cell
    done: int
    total: int
    kept: bool


@dataclass(frozen=True)
class Suite:
    """What is put to what: all methods on all models, each from as many `seeds` (0, 1, ...), under all ablations.

    `prompts` to find circuits with, and as many others to measure faithfulness on; pruning runs at that many
    `thresholds`.

    Raises: BadSetting when a name is unknown, or something is given none of or too much of.
    """

    methods: tuple[str, ...]
    models: tuple[str, ...]
    seeds: int = 3
    ablations: tuple[Ablation, ...] = (Ablation.RESAMPLE, Ablation.MEAN, Ablation.ZERO)
    prompts: int = 64
    thresholds: int = 17

    def __post_init__(self) -> None:
        object.__setattr__(self, "methods", tuple(Method(name).name for name in self.methods))
        for what in ("methods", "models", "ablations"):
            given = getattr(self, what)
            if not given or len(set(given)) < len(given):
                got = "one of them twice" if given else "none"
                raise BadSetting(f"a table needs {what}: got {got}, wanted at least one, and each once (--{what})")
        if learned := [ablation.value for ablation in self.ablations if ablation.is_learned]:
            raise BadSetting(
                f"which edges are true under {learned[0]} ablation nobody knows before its constants are learned; give "
                "other ablations (--ablations), or measure it on real models (--frontier)"
            )
        for name in self.models:
            known_models.check(name)
        for what, least, most in (("seeds", 1, MOST_SEEDS), ("prompts", 2, MOST_PROMPTS), ("thresholds", 1, 1000)):
            count = getattr(self, what)
            if not least <= count <= most:
                few = "few" if count < least else "many"
                many = f"1 {what.removesuffix('s')} is" if count == 1 else f"{count:,} {what} are"
                raise BadSetting(f"{many} too {few}; wanted {least} to {most:,} (--{what})")

    def cells(self) -> Iterator[Cell]:
        """Every measurement, those on one model together."""
        for model in self.models:
            for seed in range(self.seeds):
                for ablation in self.ablations:
                    yield from (Cell(model, seed, ablation, method) for method in self.methods)

    def settings(self, cell: Cell) -> dict[str, Any]:
        """All that a cell's result depends on, as plain JSON data: where it is the same, the result is kept."""
        return {
            "schema": SCHEMA,
            "version": version("acdc-circuits"),
            "model": cell.model,
            "seed": cell.seed,
            "ablation": cell.ablation.value,
            "method": asdict(Method(cell.method)),
            "prompts": self.prompts,
            "thresholds": self.thresholds,
        }

    def run(self, folder: Path, place: AbstractPlace = HERE) -> Generator[Done, None, list[dict[str, Any]]]:
        """Measure what is not in the folder yet, cell by cell; the generator returns every cell's result, in order.

        Raises: OSError when the folder cannot be written, and what the makers of the models raise.
        """
        folder.mkdir(parents=True, exist_ok=True)
        cells, results = list(self.cells()), []
        there = [cell_files.kept(folder / cell.file, self.settings(cell)) for cell in cells]
        left = [cell for cell, result in zip(cells, there, strict=True) if result is None]
        measured = place.each(Measurements(self), left) if left else iter(())
        for done, (cell, result) in enumerate(zip(cells, there, strict=True), start=1):
            kept = result is not None
            if result is None:
                result = {"settings": self.settings(cell), **next(measured)}
                cell_files.keep(folder / cell.file, result)
            results.append(result)
            yield Done(cell, done, len(cells), kept)
        return results


def default(*, quick: bool = False) -> Suite:
    """Every method and every model; `quick` is one seed, one ablation, fewer prompts and thresholds, and no `SLOW`."""
    names = tuple(known_models.subjects())
    if quick:
        methods = tuple(name for name in METHODS if name not in SLOW)
        return Suite(methods, names, seeds=1, ablations=(Ablation.RESAMPLE,), prompts=16, thresholds=7)
    return Suite(tuple(METHODS), names)


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """All results and what they were made with, as plain JSON data."""
    return cell_files.summary(SCHEMA, results)


@dataclass(frozen=True)
class Measurements(AbstractWork[Cell, "dict[str, Any]"]):
    """The cells of a suite, those on one model best one after another, so that it is made once."""

    suite: Suite

    @property
    def device(self) -> str:
        """The CPU, for which these models are small enough."""
        return "cpu"

    def opened(self) -> Callable[[Cell], dict[str, Any]]:
        """What measures a cell."""
        at_hand: tuple[tuple[str, int], _Opened] | None = None

        def measured(cell: Cell) -> dict[str, Any]:
            nonlocal at_hand
            which = cell.model, cell.seed
            if at_hand is None or at_hand[0] != which:
                at_hand = which, _Opened(known_models.known(*which), cell.seed, self.suite)
            return at_hand[1].measure(cell)

        return measured


class _Opened:
    """A model at hand for all cells that share it, and its prompts under the ablation of the moment."""

    def __init__(self, known: Known, seed: int, suite: Suite) -> None:
        self.known, self.seed, self._suite = known, seed, suite
        self._under: tuple[Ablation, Problem, Problem] | None = None

    def measure(self, cell: Cell) -> dict[str, Any]:
        """The result of a cell: the judges' findings, or why the method could give none."""
        from acdc.bench.retrieval import ground_truth
        from acdc.bench.run_method import answer
        from acdc.bench.size_curve import size_curve

        discovery, judgement = self._problems(cell.ablation)
        true, made_under = self.known.truth(cell.ablation)
        truth = {"edges": len(true), "of_edges": discovery.graph.n_edges, "made_under": made_under.value}
        try:
            _ = discovery.bounds  # the runs that all methods start from are no method's time
            began = time.perf_counter()
            found = answer(discovery, Method(cell.method), thresholds=self._suite.thresholds, seed=self.seed)
            seconds = time.perf_counter() - began
            judged, curve = ground_truth(found, true), size_curve(judgement, found)
        except AcdcError as error:
            return {"truth": truth, "refused": str(error)}
        return {
            "truth": truth,
            "seconds": seconds,
            "ground_truth": judged.to_json(),
            "faithfulness": curve.to_json(),
        }

    def _problems(self, ablation: Ablation) -> tuple[Problem, Problem]:
        from acdc.problems import problems

        if self._under is None or self._under[0] is not ablation:
            setup = Setup(ablation=ablation, prompts=self._suite.prompts, seed=self.seed)
            self._under = (ablation, *problems(self.known.task, self.known.model, setup))
        return self._under[1:]
