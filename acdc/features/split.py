"""Nodes split into neurons or features, as `--split` asks; which features are senders apart, their effects decide."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from typing_extensions import assert_never

from acdc.errors import BadSetting, ChangedSubject
from acdc.features.effects import first_order_effects
from acdc.features.named import checked, names_of
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import Split
from acdc.graphs.feature_names import NAMES, Names
from acdc.graphs.features import load
from acdc.graphs.features.dictionary import Dictionary
from acdc.graphs.features.splitting import FeatureParts, NeuronParts
from acdc.graphs.features.streams import AttentionFeatures, StreamFeatures
from acdc.graphs.features.units import Features
from acdc.graphs.model import Model
from acdc.graphs.model.mlp_parts import AbstractMlpParts
from acdc.graphs.model.stream_parts import AbstractAttentionParts, AbstractStreamParts
from acdc.graphs.nodes import Node, SplitKind
from acdc.problem import Problem
from acdc.provenance import FeaturesOrigin, ModelOrigin, Provenance
from acdc.tasks.models import shipped_dictionary

MOST_APART = 200
"""So many features of a dictionary, those of the largest first-order effects, are senders apart; all others are one."""
ALL = "mlp:all"
_Parts = AbstractMlpParts | AbstractAttentionParts | AbstractStreamParts
_MLP = re.compile(r"m(0|[1-9]\d{0,3})")


def recordable(split: str) -> str:
    """What is asked for in words that ask for it from any directory."""
    words = _words(split)
    return ",".join(word if _MLP.fullmatch(word) or word == ALL else _absolute(word) for word in words)


def split_model(problem: Problem, split: str) -> Model:
    """A problem's model with nodes split: MLPs (`m3,m5` or `mlp:all`) into neurons, what a folder is of into features.

    Of features, those of the largest first-order effects on the problem's metric are senders, `MOST_APART` of each
    dictionary; those that are on at no token of its prompts have none.

    Raises: BadSetting when it is not said what to split, or something would be split twice; BadDictionary when features
    do not fit the model.
    """
    parts: dict[str, _Parts] = {}
    for word, node, dictionary, names in _asked(problem.model, split):
        if node in parts:
            raise BadSetting(f"--split {split} splits {node} twice; name each place once")
        if dictionary is None:
            parts[node] = NeuronParts.of(problem.model, Node.parse(node).layer)
            continue
        moved, fit = checked(problem, dictionary)
        made = FeatureParts.of(problem.model, moved, _of_effect(problem, moved, word), fit)
        ids = {part: f"{node}.{part}" for part in made.names}
        called = {part: names[said] for part, said in ids.items() if said in names}
        parts[node] = _at_its_place(problem.model, replace(made, called=called))
    return _split(problem.model, parts)


def in_graph_of(circuit: Circuit, model: Model) -> Model:
    """A model in a circuit's graph, as far as it can be: with its edges by position, and split, if the circuit's are.

    Which dictionary features are of, the circuit's record says. A model that is split already stays so.

    Raises: ChangedSubject when the dictionary's files are others now; BadSetting when the record does not say which
    they were; BadDictionary when they are not there any more, or not of this model.
    """
    graph = circuit.graph
    if graph.splits and not model.graph.splits:
        model = _split_again(model, graph.splits, Provenance.of(circuit).model).parts_reading(graph.parts_read)
    return model.by_position(graph.spans)


def _split_again(model: Model, splits: tuple[Split, ...], said: ModelOrigin | None) -> Model:
    """A model split into these parts; `said` is what the circuit's record says of its own."""
    split, hashes = ("", dict[str, str]()) if said is None else (said.split, said.dictionaries)
    asked = {node: (word, dictionary) for word, node, dictionary, _ in _asked(model, split)} if split else {}
    parts: dict[str, _Parts] = {}
    for one in splits:
        node, names = one.node.name, one.parts
        word, dictionary = asked.get(node, ("", None))
        if names[0].startswith("n"):
            parts[node] = NeuronParts.of(model, one.layer)
        elif dictionary is None:
            raise BadSetting(
                f"the circuit's {node} is split into features, and its record does not say of which dictionary; "
                "discover it again"
            )
        else:
            if hashes.get(word) != dictionary_hash(word):
                raise ChangedSubject(
                    f"the files of {word} are not those whose features the circuit was found with; get those, or "
                    "discover it again"
                )
            chosen = [int(name[1:]) for name in names if name[1:].isdigit()]
            parts[node] = _at_its_place(model, FeatureParts.of(model, dictionary, chosen))
    return _split(model, parts)


def with_reading_parts(model: Model) -> Model:
    """A split model in whose graph each part of an MLP is a receiver of its own too.

    Raises: BadSetting when it has too many edges then.
    """
    try:
        return model.parts_reading(True)
    except ValueError as error:
        raise BadSetting(f"{error}; split fewer MLPs (--split), or leave out --parts-read") from error


def features_of(model: Model) -> dict[str, FeaturesOrigin]:
    """By the nodes that are split into features: of which dictionary these are, how well it fits, and their names."""
    of: dict[str, FeaturesOrigin] = {}
    for layer in model.layers:
        for parts in (layer.attended, layer.parts, *layer.streams.values()):
            features = parts.features if isinstance(parts, AttentionFeatures | StreamFeatures) else parts
            if isinstance(features, FeatureParts):
                said: dict[str, Any] = {} if features.fit is None else features.fit.to_json()
                called = {part.removeprefix("f"): words for part, words in features.called.items()}
                said |= {"names": called} if called else {}
                of[features.dictionary.writes.node] = FeaturesOrigin(dictionary=features.dictionary.name, **said)
    return of


def dictionaries_of(split: str) -> dict[str, str]:
    """The hash of the files of every dictionary that is asked for, by the words that name it."""
    return {word: dictionary_hash(word) for word in _words(split) if not _MLP.fullmatch(word) and word != ALL}


def dictionary_hash(word: str) -> str:
    """The hash of all files of a dictionary's folder that are weights or say how to read them; names are neither."""
    digest = hashlib.sha256()
    for path in sorted(_folder(word).iterdir()):
        if path.suffix in (".json", ".yaml", ".safetensors", ".npz") and path.name != NAMES:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def _words(split: str) -> list[str]:
    words = [word.strip() for word in split.split(",")]
    if not all(words):
        raise BadSetting(f"--split is {split!r}; wanted MLPs (m3,m5 or {ALL}) or folders of features, commas between")
    return words


class _Asked(NamedTuple):
    """What is to be split: the word that asks, the node, the dictionary of its features, and what these are called.

    Without a dictionary, it is to be split into neurons.
    """

    word: str
    node: str
    dictionary: Dictionary | None = None
    names: Names = MappingProxyType({})


def _asked(model: Model, split: str) -> Iterable[_Asked]:
    for word in _words(split):
        if word == ALL:
            yield from (_Asked(word, f"m{layer}") for layer in range(model.graph.n_layers))
        elif _MLP.fullmatch(word):
            yield _Asked(word, word)
        else:
            dictionaries = load(_folder(word))
            names = names_of(_folder(word), dictionaries)
            yield from (_Asked(word, each.writes.node, each, names) for each in dictionaries)


def _folder(word: str) -> Path:
    return shipped_dictionary(word) or Path(word).expanduser()


def _absolute(word: str) -> str:
    return word if shipped_dictionary(word) else os.path.abspath(Path(word).expanduser())


def _of_effect(problem: Problem, dictionary: Dictionary, word: str) -> list[int]:
    effects = first_order_effects(problem, Features.of(dictionary, problem.model)).abs()
    most = effects.topk(min(MOST_APART, len(effects)))
    chosen = [number for size, number in zip(most.values.tolist(), most.indices.tolist(), strict=True) if size > 0]
    if not chosen:
        raise BadSetting(f"no feature of {word} has any effect on these prompts; use another dictionary or metric")
    return chosen


def _at_its_place(model: Model, features: FeatureParts) -> _Parts:
    """Features as parts of the node that they are of.

    Raises: BadDictionary when the model has no such place.
    """
    split = features.dictionary.writes.split
    if split is None:
        return StreamFeatures.of(model, features)  # which says that these are the embeddings
    match split[1]:
        case "mlp":
            return features
        case "attention":
            return AttentionFeatures.of(model, features)
        case "resid_mid" | "resid_post":
            return StreamFeatures.of(model, features)
        case kind:
            assert_never(kind)


def _split(model: Model, parts: Mapping[str, _Parts]) -> Model:
    mlps: dict[int, AbstractMlpParts] = {}
    attended: dict[int, AbstractAttentionParts] = {}
    streams: dict[tuple[int, SplitKind], AbstractStreamParts] = {}
    for name, each in parts.items():
        split = Split.of(name, each.names)
        if isinstance(each, AbstractMlpParts):
            mlps[split.layer] = each
        elif isinstance(each, AbstractAttentionParts):
            attended[split.layer] = each
        else:
            streams[split.layer, split.kind] = each
    try:
        return model.split(mlps, attended, streams)
    except ValueError as error:
        raise BadSetting(f"the split graph is too large: {error}; split fewer places (--split)") from error
