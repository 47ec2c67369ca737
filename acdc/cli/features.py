"""`acdc features`: what the features of a dictionary, or the neurons of an MLP, do for a behaviour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from acdc.cli import options as given
from acdc.cli import terminal
from acdc.cli.options import argument, flag, option
from acdc.errors import BadSetting
from acdc.settings import Compute, Setup

if TYPE_CHECKING:
    from acdc.explain.units import UnitReadings
    from acdc.graphs.model import Model

_PROMPTS = 32
_METRIC = "logit_difference"


def features(
    task: given.Behaviour,
    units: Annotated[str, argument("DIR_OR_MLP", is_="A folder of features, or an MLP for its neurons, such as m3.")],
    model: given.OnModel = None,
    unit: Annotated[
        str | None, option("--feature", "-f", takes="N,N", is_="Only these, by number [the 8 of most effect]")
    ] = None,
    layer: Annotated[int | None, option("--layer", takes="N", is_="Of which layer, if there are several")] = None,
    hook: Annotated[
        str | None, option("--hook", takes="NAME", is_="Where they belong, if the files do not say")
    ] = None,
    names: Annotated[
        Path | None, option("--names", takes="FILE", is_="What you call features, as JSON [the folder's names.json]")
    ] = None,
    texts: Annotated[Path | None, option("--texts", takes="FILE", is_="Look for examples in its lines too")] = None,
    metric: Annotated[
        str | None, option("--metric", takes="NAME", is_="What effects are measured by [logit_difference]")
    ] = None,
    prompts: Annotated[int, option("--prompts", takes="N", is_="Prompts to look at [32]")] = _PROMPTS,
    seed: Annotated[int, option("--seed", takes="N", is_="Seed of the prompts and of all that is random [0]")] = 0,
    anyway: Annotated[bool, flag("--anyway", is_="Go on though the features explain little")] = False,
    device: given.Device = "cpu",
    dtype: given.Precision = "float32",
    json: given.AsJson = False,
) -> None:
    """Say what features of a dictionary, or neurons, do for a behaviour.

    Formats: SAELens, circuit-tracer and Gemma Scope. How well the features fit the
    model is measured first; those that do not are refused.
    """
    from acdc.cli.progress import watching

    chosen = _numbers(unit)
    lines = _lines(texts)
    setup = Setup(metric, prompts=prompts, seed=seed, compute=Compute(device, dtype))
    with watching(quiet=json) as watch:
        watch.stage("loading the model")
        asked = {"layer": layer, "hook": hook, "names": names, "anyway": anyway}
        found, loaded = _read(units, task, model, setup, chosen, lines, asked)
    if json:
        fit = None if found.fit is None else found.fit.to_json()
        named = [{"name": found.names[each.name]} if each.name in found.names else {} for each in found.readings]
        readings = [{**each.to_json(loaded), **more} for each, more in zip(found.readings, named, strict=True)]
        terminal.write_json({"fit": fit, "metric": found.metric, "value": found.whole, "units": readings})
        return
    from acdc.report.units import unit_tables

    terminal.parts(unit_tables(found, loaded))


def _read(
    name: str,
    task: str,
    model: str | None,
    setup: Setup,
    chosen: list[int],
    lines: list[str],
    asked_of_files: dict[str, Any],
) -> tuple[UnitReadings, Model]:
    from acdc.explain.units import read_units
    from acdc.features.named import fitted_units
    from acdc.models import load_named
    from acdc.problem import Problem
    from acdc.request import Request
    from acdc.tasks.metrics import metric

    asked = Request.of(task, model)
    loaded = load_named(asked.model, setup)
    pairs = asked.task.build(loaded.tokenizer, setup.prompts, setup.seed).discovery
    named = setup.metric or ("log_probability_difference" if pairs.whole else _METRIC)
    problem = Problem(loaded, pairs, metric(named))
    fitted = fitted_units(problem, name, **asked_of_files)
    wrong = [number for number in chosen if number >= fitted.units.count]
    if wrong:
        raise BadSetting(f"--feature {wrong[0]} is not there; {name} has {fitted.units.count:,}, from 0 on")
    return read_units(problem, fitted, chosen, lines, seed=setup.seed), loaded


def _numbers(given: str | None) -> list[int]:
    if given is None:
        return []
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise BadSetting(f"--feature is {given!r}; wanted numbers with commas between, such as 12,105")
    return [int(part) for part in parts]


def _lines(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"the texts in {path} cannot be read ({error}); give a text file in UTF-8") from error
