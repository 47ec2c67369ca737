"""Units by the words that ask for them: the neurons of `m3`, or a folder of features, checked on some prompts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from acdc.errors import BadSetting
from acdc.graphs.execution.runs import TokenPairs
from acdc.graphs.feature_names import NAMES, Names, read_names
from acdc.graphs.features import load
from acdc.graphs.features.dictionary import Dictionary
from acdc.graphs.features.fit import Fit, check, measured
from acdc.graphs.features.units import AbstractUnits, Features, Neurons
from acdc.problem import Problem
from acdc.tasks.models import shipped_dictionary

_MLP = re.compile(r"m(0|[1-9]\d{0,3})")


@dataclass(frozen=True)
class Fitted:
    """Units with how well they fit the model (None for neurons, which are its own) and what a user calls them."""

    units: AbstractUnits
    fit: Fit | None
    names: Names = field(default_factory=dict)


def fitted_units(
    problem: Problem,
    name: str,
    *,
    layer: int | None = None,
    hook: str | None = None,
    names: Path | None = None,
    anyway: bool = False,
) -> Fitted:
    """The neurons of an MLP (`m3`), or the features in a folder, or of a shipped dictionary of that name.

    Of a folder with transcoders of every layer, those of `layer`; `hook` names the place where the files do not. What
    features are called is in the file `names` (None: in the folder's own, if it has one). Those that explain little
    are taken `anyway` or refused.

    Raises: BadDictionary when they cannot be read or do not fit; BadSetting when it is not said of which layer.
    """
    if found := _MLP.fullmatch(name):
        if names is not None:
            raise BadSetting(f"{name} asks for neurons, which --names cannot name; give it with a folder of features")
        return Fitted(Neurons.of(problem.model, int(found[1])), None)
    folder = shipped_dictionary(name) or Path(name).expanduser()
    dictionaries = load(folder, hook)
    called = names_of(folder, dictionaries, names)
    moved, fit = checked(problem, _of_layer(dictionaries, layer), anyway=anyway)
    return Fitted(Features.of(moved, problem.model), fit, called)


def names_of(folder: Path, dictionaries: Sequence[Dictionary], file: Path | None = None) -> Names:
    """What a user calls the features in a folder, by that file or by the folder's own, if it has one.

    Raises: BadDictionary when such a file cannot be understood.
    """
    own = (folder.parent if folder.is_file() else folder) / NAMES
    if file is None and not own.exists():
        return {}
    places = {each.writes.node: each.n_features for each in dictionaries}
    return read_names(own if file is None else file, places)


def checked(problem: Problem, dictionary: Dictionary, *, anyway: bool = False) -> tuple[Dictionary, Fit]:
    """A dictionary where the model is and in its precision, and how well it fits on a problem's prompts.

    Raises: BadDictionary when it does not.
    """
    moved = dictionary.to(problem.model.device, problem.model.dtype)
    batches = [TokenPairs(batch.clean, batch.corrupt, batch.scored_positions) for batch in problem.prompt_batches]
    return moved, (measured if anyway else check)(moved, problem.model, batches)


def _of_layer(dictionaries: Sequence[Dictionary], layer: int | None) -> Dictionary:
    layers = [each.writes.layer for each in dictionaries]
    if layer is None and len(dictionaries) == 1:
        return dictionaries[0]
    if layer not in layers:
        said = "no layer was named" if layer is None else f"layer {layer} was named"
        raise BadSetting(
            f"{said}, but there are features of the layers {', '.join(map(str, layers))}; name one of these (--layer)"
        )
    return dictionaries[layers.index(layer)]
