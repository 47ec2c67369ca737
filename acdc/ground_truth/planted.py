"""Planted circuits: small models written by hand around a known circuit, whose size, depth and places a seed draws.

`chain` follows letters twice (`planted_hops`): a head finds the letter before each, two others look letters up by it,
one after the other, and MLPs, where the seed puts them, translate in between. Composition is by query, key and value.
`and` adds two letters (`planted_sum`): two heads fetch one each, and an MLP needs both.
`or` repeats a letter (`planted_copy`): two heads fetch it, and an MLP is content with either.
`backup` repeats a letter too: one head fetches and says it; another one would, but is called off by the first.
`hidden` repeats a letter (`planted_detour`): one head fetches the common ones, another the rare ones, which no prompt
that is drawn has.

What true means: an edge is true if there is a set K of other edges (it may be empty) without which the model still
shows the behaviour, such that to ablate the edge as well changes the output. In `chain` and `and` K is always empty:
every true edge matters by itself. In `or`, K is an edge of the other branch; in `backup`, it silences the first head or
the second. The union of these edges is the circuit; the false edges, even all together, carry next to nothing. In
`hidden` this is so on the prompts that are drawn; those with a rare letter take `hidden_edges` besides.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import assert_never

from acdc import tasks
from acdc.errors import UnknownModel
from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.model.weights import BareWeights, from_weights
from acdc.graphs.nodes import Edge
from acdc.ground_truth.known import Known
from acdc.ground_truth.wiring import Board, Shape
from acdc.tasks.builtin.planted_copy import FILLERS, LETTERS
from acdc.tasks.builtin.planted_detour import COMMON, RARE
from acdc.tasks.builtin.planted_sum import SIZE
from acdc.tasks.models.training.word_level import word_level_tokenizer

Motif = Literal["chain", "and", "or", "backup", "hidden"]
MOTIFS: tuple[Motif, ...] = get_args(Motif)
CONTROL: Literal["control"] = "control"

GAIN = 6.0
"""The logit of an answer; that of every other token is about 0."""
SMALL = tuple(letter.lower() for letter in LETTERS)
DIGITS = tuple(str(digit) for digit in range(SIZE))
N_CONTEXT = 12


def known(motif: Motif, seed: int, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Known:
    """The task, model and true edges of a motif, the true edges under every ablation that learns nothing."""
    board = _written(motif, seed)
    truths = {ablation: board.edges(ablation) for ablation in UNLEARNED}
    return _known(motif, f"{_named(motif)}:{seed}", board.finish(), truths, device, dtype)


def hidden_edges(seed: int, ablation: Ablation = Ablation.RESAMPLE) -> frozenset[Edge]:
    """The edges of `hidden` that carry nothing on the prompts that are drawn, and a letter where it is rare."""
    board = _written("hidden", seed)
    return board.edges(ablation, hidden=True) - board.edges(ablation)


def control(seed: int, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Known:
    """The chain of a seed with the entries of every weight matrix shuffled: a model in which no circuit is known.

    It has the size and the distribution of weights of the planted one, and does not do the task; no edge is true.
    """
    generator = torch.Generator().manual_seed(seed)

    def shuffled(matrix: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return matrix.flatten()[torch.randperm(matrix.numel(), generator=generator)].view_as(matrix)

    weights = _written("chain", seed).finish()
    layers = tuple(
        replace(layer, **{name: shuffled(part) for name, part in vars(layer).items()}) for layer in weights.layers
    )
    tokens, positions = shuffled(weights.tokens), shuffled(weights.positions)
    changed = BareWeights(tokens, positions, layers, shuffled(weights.unembedding), weights.causal)
    truths: dict[Ablation, frozenset[Edge]] = {ablation: frozenset() for ablation in UNLEARNED}
    return _known("chain", f"{_named(CONTROL)}:{seed}", changed, truths, device, dtype)


def named(name: str, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Known:
    """What the name of a planted model stands for: `planted:0`, `planted-or:1`, `planted-control:2` and the like.

    Raises: UnknownModel.
    """
    kind, seed = parse(name)
    if kind == CONTROL:
        return control(seed, device=device, dtype=dtype)
    return known(kind, seed, device=device, dtype=dtype)


def parse(name: str) -> tuple[Motif | Literal["control"], int]:
    """The motif, or the control, and the seed that the name of a planted model stands for.

    Raises: UnknownModel.
    """
    what, _, seed = name.partition(":")
    kinds: dict[str, Motif | Literal["control"]] = {_named(kind): kind for kind in (*MOTIFS, CONTROL)}
    if what not in kinds or not (seed.isascii() and seed.isdecimal()):
        wanted = ", ".join(f"{kind}:0" for kind in kinds)
        raise UnknownModel(f"no planted model called {name!r}; wanted {wanted}, or one of another seed")
    return kinds[what], int(seed)


def _named(kind: Motif | Literal["control"]) -> str:
    return "planted" if kind == "chain" else f"planted-{kind}"


def _known(
    motif: Motif,
    name: str,
    weights: BareWeights,
    truths: Mapping[Ablation, frozenset[Edge]],
    device: str | torch.device,
    dtype: torch.dtype,
) -> Known:
    match motif:
        case "chain":
            task = tasks.get("planted_hops")
        case "and":
            task = tasks.get("planted_sum")
        case "or" | "backup":
            task = tasks.get("planted_copy")
        case "hidden":
            task = tasks.get("planted_detour")
        case _:
            assert_never(motif)
    model = from_weights(weights, name, word_level_tokenizer(_words()), device=device, dtype=dtype)
    return Known(name, replace(task, model=name), model, truths)


def _words() -> tuple[str, ...]:
    return ("So", *LETTERS, *SMALL, *DIGITS, *FILLERS)


def _written(motif: Motif, seed: int) -> Board:
    draw, generator = random.Random(f"{motif} {seed}"), torch.Generator().manual_seed(seed)
    match motif:
        case "chain":
            return _chain(draw, generator)
        case "and":
            return _and(draw, generator)
        case "or":
            return _or(draw, generator)
        case "backup":
            return _backup(draw, generator)
        case "hidden":
            return _hidden(draw, generator)
        case _:
            assert_never(motif)


def _chain(draw: random.Random, generator: torch.Generator) -> Board:
    letters = len(LETTERS)
    channels = dict.fromkeys(("previous", "asked", "code", "first", "next", "second", "answer"), letters)
    board = Board(_shape(draw.randint(4, 5), draw), channels, generator)
    early, once, twice = sorted(draw.sample(range(board.shape.n_layers), 3))
    board.head(early, _back(1), _here(), {"tokens": _among(LETTERS)}, ("previous", torch.eye(letters)))
    query, value = {"tokens": _among(LETTERS)}, {"tokens": _among(SMALL)}
    values = [value, value]
    if draw.random() < 0.5:
        board.mlp(draw.randint(0, once - 1), query, ("asked", torch.eye(letters)))
        query = {"asked": torch.eye(letters)}
    if draw.random() < 0.7:
        board.mlp(draw.randint(0, once - 1), value, ("code", torch.eye(letters)))
        values[draw.randint(0, 1)] = {"code": torch.eye(letters)}
        values[draw.randint(0, 1)] = {"code": torch.eye(letters)}
    key = {"previous": torch.eye(letters)}
    for layer, until, found, said, taken in (
        (once, twice - 1, "first", "next", values[0]),
        (twice, board.shape.n_layers - 1, "second", "answer", values[1]),
    ):
        translated = draw.random() < 0.7
        board.head(layer, query, key, taken, (found if translated else said, torch.eye(letters)))
        if translated:
            board.mlp(draw.randint(layer, until), {found: torch.eye(letters)}, (said, torch.eye(letters)))
        query = {"next": torch.eye(letters)}
    board.logits({"answer": _says(SMALL)})
    return board


def _and(draw: random.Random, generator: torch.Generator) -> Board:
    channels = {"left": SIZE, "right": SIZE, "answer": SIZE}
    board = Board(_shape(draw.randint(2, 5), draw), channels, generator)
    layers = [draw.randrange(board.shape.n_layers) for _ in range(2)]
    for layer, offset, name, kind in zip(layers, (3, 1), ("left", "right"), (LETTERS, SMALL), strict=True):
        board.head(layer, _back(offset), _here(), {"tokens": _among(kind[:SIZE])}, (name, torch.eye(SIZE)))
    pairs = [(first, second) for first in range(SIZE) for second in range(SIZE)]
    left, right, total = torch.zeros(3, SIZE, len(pairs))
    for unit, (first, second) in enumerate(pairs):
        left[first, unit] = right[second, unit] = total[(first + second) % SIZE, unit] = 1
    reads = {"left": left, "right": right, "one": -torch.ones(1, len(pairs))}
    board.mlp(draw.randint(max(layers), board.shape.n_layers - 1), reads, ("answer", total.T))
    board.logits({"answer": _says(DIGITS)})
    return board


def _or(draw: random.Random, generator: torch.Generator) -> Board:
    letters = len(LETTERS)
    channels = dict.fromkeys(("code", "left", "right", "answer"), letters)
    board = Board(_shape(draw.randint(3, 5), draw), channels, generator)
    value = _stem(board, draw)
    layers = [draw.randrange(1, board.shape.n_layers) for _ in range(2)]
    for layer, name in zip(layers, ("left", "right"), strict=True):
        board.head(layer, _back(3), _here(), value, (name, torch.eye(letters)))
    # both added up, less what is above 1
    units = torch.eye(letters).repeat(1, 2)
    above = torch.cat((torch.zeros(1, letters), -torch.ones(1, letters)), dim=1)
    out = torch.cat((torch.eye(letters), -torch.eye(letters)))
    gate = draw.randint(max(layers), board.shape.n_layers - 1)
    board.mlp(gate, {"left": units, "right": units, "one": above}, ("answer", out))
    board.logits({"answer": _says(SMALL)})
    return board


def _backup(draw: random.Random, generator: torch.Generator) -> Board:
    letters = len(LETTERS)
    board = Board(_shape(draw.randint(3, 5), draw), {"code": letters, "answer": letters}, generator)
    value = _stem(board, draw)
    first, second = sorted(draw.sample(range(1, board.shape.n_layers), 2))
    answer = ("answer", torch.eye(letters))
    board.head(first, _back(3), _here(), value, answer)
    # an answer that is there already draws the second head's attention to the first word, which says nothing
    called_off = torch.zeros(letters, N_CONTEXT)
    called_off[:, 0] = 2
    board.head(second, {**_back(3), "answer": called_off}, _here(), value, answer)
    board.logits({"answer": _says(SMALL)})
    return board


def _hidden(draw: random.Random, generator: torch.Generator) -> Board:
    common, rare, letters = len(COMMON), len(RARE), len(LETTERS)
    channels = {"code": common, "left": common, "rare code": rare, "right": rare, "found": letters, "answer": letters}
    board = Board(_shape(draw.randint(3, 5), draw), channels, generator, hidden=("rare code", "right"))
    layers = [draw.randrange(1, board.shape.n_layers - 1) for _ in range(2)]
    paths = ((COMMON, "code", "left"), (RARE, "rare code", "right"))
    for layer, (words, code, name) in zip(layers, paths, strict=True):
        each = torch.eye(len(words))
        board.mlp(0, {"tokens": _among(words)}, (code, each))
        board.head(layer, _back(3), _here(), {code: each}, (name, each))
    both, gate = torch.eye(letters), draw.randint(max(layers), board.shape.n_layers - 2)
    said = draw.choice(("found", "answer"))
    board.mlp(gate, {"left": both[:common], "right": both[common:]}, (said, both))
    if said == "found":
        board.mlp(gate + 1, {"found": both}, ("answer", both))
    board.logits({"answer": _says(SMALL)})
    return board


def _stem(board: Board, draw: random.Random) -> dict[str, Float[Tensor, "..."]]:
    """What heads take their letter from: the token, or what an MLP of the first layer makes of it."""
    value = {"tokens": _among(LETTERS)}
    if draw.random() < 0.5:
        return value
    board.mlp(0, value, ("code", torch.eye(len(LETTERS))))
    return {"code": torch.eye(len(LETTERS))}


def _shape(n_layers: int, draw: random.Random) -> Shape:
    return Shape(n_layers, draw.randint(2, 4), N_CONTEXT, 48, 2 + len(_words()), N_CONTEXT)


def _back(offset: int) -> dict[str, Float[Tensor, "..."]]:
    """The query of a head that looks so many positions back."""
    return {"positions": torch.diag(torch.ones(N_CONTEXT - offset), -offset)}


def _here() -> dict[str, Float[Tensor, "..."]]:
    """The key by which a position is found."""
    return {"positions": torch.eye(N_CONTEXT)}


def _among(words: tuple[str, ...]) -> Float[Tensor, "token word"]:
    """What tells which of these words a token is."""
    matrix = torch.zeros(2 + len(_words()), len(words))  # the tokenizer's own two tokens come first
    for number, word in enumerate(words):
        matrix[2 + _words().index(word), number] = 1
    return matrix


def _says(words: tuple[str, ...]) -> Float[Tensor, "word token"]:
    return GAIN * _among(words).T
