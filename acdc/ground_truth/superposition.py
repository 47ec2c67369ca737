"""A planted model of superposition: an MLP that holds three times more features than it has neurons.

After `So cup dog pen by` comes ` Dog`: one word of each prompt is an animal, the others are things, and what is said is
the animal with a capital. A head adds up which words there are; the MLP of the last layer squeezes these 48 features
into 16 neurons, each feature being written by 4 of them and each neuron writing about 12 features; and the logits read
from there which animal it is, as well as 16 numbers can tell. So 8 of the features matter and 40 do not, though these
are on as often; and every neuron writes features of both kinds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.graphs.ablation import Ablation
from acdc.graphs.features.activation import Thresholded
from acdc.graphs.features.dictionary import Decoder, Dictionary, Encoder
from acdc.graphs.features.hooks import Hook
from acdc.graphs.model.weights import from_weights
from acdc.graphs.nodes import LOGITS, Edge, Node
from acdc.ground_truth.known import Known
from acdc.ground_truth.wiring import Board, Shape
from acdc.tasks.models.training.word_level import word_level_tokenizer
from acdc.tasks.pairs import TextPair
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.task import About, Task

ANIMALS = ("ant", "bat", "cat", "dog", "eel", "fox", "hen", "pig")
THINGS = (
    *("axe", "bag", "bed", "bell", "bin", "boat", "bolt", "book", "bow", "box", "bus", "cap", "car", "coat"),
    *("coin", "cup", "desk", "dish", "door", "drum", "fan", "flag", "fork", "hat", "jar", "key", "kite", "lamp"),
    *("mat", "mug", "net", "oar", "pan", "pen", "pin", "pot", "ring", "rope", "sock", "vase"),
)
WORDS = (*ANIMALS, *THINGS)
NEURONS, PER_FEATURE = 16, 4
LAYER = 1
"""The layer whose MLP holds the features."""
_GAIN = 30.0
_THINGS, _LENGTH = 2, 5  # things in a prompt, and its tokens


@dataclass(frozen=True)
class Superposed:
    """The model with its true edges, its dictionary, and which neurons write which feature.

    The dictionary is a transcoder of the last MLP, and exact by construction: its features are the words, in their
    order, of which the animals come first and are those that matter.
    """

    known: Known
    dictionary: Dictionary
    codes: Float[Tensor, "feature neuron"]


def superposed(seed: int, *, dtype: torch.dtype = torch.float64) -> Superposed:
    """The planted model of a seed, with the edges from the features that matter to the logits as the true ones."""
    generator, draw = torch.Generator().manual_seed(seed), random.Random(seed)
    codes = drawn_codes(draw)
    count, vocabulary = len(WORDS), _vocabulary()
    shape = Shape(LAYER + 1, 2, count, NEURONS, 2 + len(vocabulary), 8)
    board = Board(shape, {"present": count, "held": NEURONS}, generator)
    words = torch.zeros(shape.n_tokens, count)
    for number, word in enumerate(WORDS):
        words[2 + vocabulary.index(word), number] = 1
    # looks at all tokens alike: what it takes of each is as many times smaller
    board.head(0, {}, {}, {"tokens": words}, ("present", _LENGTH * torch.eye(count)))
    board.mlp(LAYER, {"present": codes}, ("held", torch.eye(NEURONS)))
    said = torch.zeros(len(ANIMALS), shape.n_tokens)
    for number, animal in enumerate(ANIMALS):
        said[number, 2 + vocabulary.index(animal.capitalize())] = _GAIN
    # the best that a linear map can do to tell each animal from all else that is there
    board.logits({"held": (torch.linalg.pinv(codes)[:, : len(ANIMALS)]) @ said})
    weights = board.finish()
    name = f"superposition:{seed}"
    model = from_weights(weights, name, word_level_tokenizer(vocabulary), dtype=dtype)
    layer = weights.layers[LAYER]
    # the head that was written is the one whose output is not a distractor's: it writes one dimension for each word
    wrote = weights.layers[0].output[_written_head(board)] / _LENGTH
    dictionary = _dictionary(name, layer.mlp_in, layer.mlp_out, wrote)
    true = frozenset(Edge(Node("mlp", LAYER, part=f"f{number}"), LOGITS) for number in range(len(ANIMALS)))
    return Superposed(Known(name, replace(task(), model=name), model, {Ablation.RESAMPLE: true}), dictionary, codes)


def _written_head(board: Board) -> int:
    """The head of the first layer that was written by hand."""
    return next(edge.receiver.head for edge in board.edges(Ablation.RESAMPLE) if edge.receiver.kind == "head")


def task() -> Task:
    """The task that these models do."""
    about = About("Says which animal is among the words: So cup dog pen by -> Dog.", "made up here in 2026")
    return Task(
        name="planted_animal",
        about=about,
        model="superposition:0",
        metric="logit_difference",
        prompts=TemplatePrompts(_draw),
    )


def _draw(rng: np.random.Generator) -> TextPair:
    """An animal among things, and another among others."""
    animals = [ANIMALS[number] for number in rng.permutation(len(ANIMALS))[:2]]
    things = [THINGS[number] for number in rng.permutation(len(THINGS))[: 2 * _THINGS]]
    texts = []
    for animal, some in zip(animals, (things[:_THINGS], things[_THINGS:]), strict=True):
        words = [animal, *some]
        texts.append(f"So {' '.join(words[number] for number in rng.permutation(len(words)))} by")
    clean, corrupt = (f" {animal.capitalize()}" for animal in animals)
    return TextPair(clean=texts[0], corrupt=texts[1], answers=(clean,), distractors=(corrupt,))


def _vocabulary() -> tuple[str, ...]:
    return ("So", "by", *WORDS, *(animal.capitalize() for animal in ANIMALS))


def drawn_codes(draw: random.Random) -> Float[Tensor, "feature neuron"]:
    """Which neurons write each feature: no two features the same, and each neuron features of both kinds."""
    while True:
        groups = dict.fromkeys(tuple(sorted(draw.sample(range(NEURONS), PER_FEATURE))) for _ in range(2 * len(WORDS)))
        codes = torch.zeros(len(WORDS), NEURONS)
        for number, group in enumerate(list(groups)[: len(WORDS)]):
            codes[number, list(group)] = 1
        if codes[: len(ANIMALS)].any(0).all() and codes[len(ANIMALS) :].any(0).all():
            return codes


def _dictionary(
    name: str,
    mlp_in: Float[Tensor, "d_model neuron"],
    mlp_out: Float[Tensor, "neuron d_model"],
    present: Float[Tensor, "feature d_model"],
) -> Dictionary:
    """Which words there are, as the MLP reads it, and what it writes of each."""
    encoder = Encoder(
        present.T.contiguous(), torch.zeros(len(WORDS)).to(mlp_in), Thresholded(0.5 * torch.ones(len(WORDS)).to(mlp_in))
    )
    writes = (present @ mlp_in) @ mlp_out
    decoder = Decoder(writes, torch.zeros(mlp_out.shape[1]).to(mlp_in))
    return Dictionary(name, encoder, decoder, Hook("resid_mid", LAYER), Hook("mlp_out", LAYER))
