"""A planted model of features that read for themselves: which of them read which head, and which features others read.

After `So cup dog pen by` comes ` Paw`: one word of each prompt is an animal, and what is said is the kind that it is
of, two animals being of each. One head adds up which animals there are, another which things. The MLP after them
squeezes these 48 features into 16 neurons, as that of `superposition` does; the next MLP reads from there which kind it
is. So each animal's feature reads the first head alone, and is read by its own kind's feature alone; but the MLPs as
wholes read both heads and all features.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.graphs.ablation import Ablation
from acdc.graphs.features.activation import Rectified, Thresholded
from acdc.graphs.features.dictionary import Decoder, Dictionary, Encoder
from acdc.graphs.features.hooks import Hook
from acdc.graphs.model.weights import BareLayer, from_weights
from acdc.graphs.nodes import LOGITS, Edge, Node
from acdc.ground_truth.known import Known
from acdc.ground_truth.superposition import ANIMALS, NEURONS, THINGS, WORDS, drawn_codes
from acdc.ground_truth.wiring import Board, Shape
from acdc.tasks.models.training.word_level import word_level_tokenizer
from acdc.tasks.pairs import TextPair
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.task import About, Task

KINDS = ("Paw", "Fin", "Hoof", "Wing")
OF_A_KIND = len(ANIMALS) // len(KINDS)
OF_WORDS, OF_KINDS = 1, 2
"""The layers whose MLPs hold the features of words and those of kinds."""
_GAIN = 30.0
_THINGS, _LENGTH = 2, 5  # things in a prompt, and its tokens


@dataclass(frozen=True)
class PlantedKinds:
    """The model with its true edges between heads and features, and transcoders of its two MLPs, each exact.

    The features of the first are the words in their order, animals first; those of the second are the kinds.
    """

    known: Known
    words: Dictionary
    kinds: Dictionary


def kind_of(animal: int) -> int:
    """The number of the kind that an animal is of, by its number."""
    return animal // OF_A_KIND


def planted_kinds(seed: int, *, dtype: torch.dtype = torch.float64) -> PlantedKinds:
    """The planted model of a seed."""
    generator, codes = torch.Generator().manual_seed(seed), drawn_codes(random.Random(seed))
    vocabulary = ("So", "by", *WORDS, *KINDS)
    shape = Shape(3, 2, len(THINGS), NEURONS, 2 + len(vocabulary), 8)
    board = Board(
        shape, {"animals": len(ANIMALS), "things": len(THINGS), "held": NEURONS, "kinds": len(KINDS)}, generator
    )
    heads = []
    for channel, words in (("animals", ANIMALS), ("things", THINGS)):
        taken = torch.zeros(shape.n_tokens, len(words))
        for number, word in enumerate(words):
            taken[2 + vocabulary.index(word), number] = 1
        # looks at all tokens alike: what it takes of each is as many times smaller
        heads.append(board.head(0, {}, {}, {"tokens": taken}, (channel, _LENGTH * torch.eye(len(words)))))
    split = len(ANIMALS)
    board.mlp(OF_WORDS, {"animals": codes[:split], "things": codes[split:]}, ("held", torch.eye(NEURONS)))
    # the best that a linear map can do to tell each animal from all else that is there
    told = torch.linalg.pinv(codes)[:, :split].view(NEURONS, len(KINDS), OF_A_KIND).sum(-1)
    board.mlp(OF_KINDS, {"held": told}, ("kinds", torch.eye(len(KINDS))))
    said = torch.zeros(len(KINDS), shape.n_tokens)
    for number, kind in enumerate(KINDS):
        said[number, 2 + vocabulary.index(kind)] = _GAIN
    board.logits({"kinds": said})
    weights, name = board.finish(), f"kinds:{seed}"
    model = from_weights(weights, name, word_level_tokenizer(vocabulary), dtype=dtype)
    outputs = [weights.layers[0].output[head.head] for head in heads]
    present = torch.cat((outputs[0][: len(ANIMALS)], outputs[1][: len(THINGS)])) / _LENGTH
    known = Known(name, replace(task(), model=name), model, {Ablation.RESAMPLE: _true(heads[0])})
    return PlantedKinds(known, _of_words(name, weights.layers[OF_WORDS], present), _of_kinds(name, weights.layers[-1]))


def task() -> Task:
    """The task that these models do."""
    about = About("Says of which kind the animal is among the words: So cup dog pen by -> Paw.", "made up here in 2026")
    return Task(
        name="planted_kind",
        about=about,
        model="kinds:0",
        metric="logit_difference",
        prompts=TemplatePrompts(_draw),
    )


def _draw(rng: np.random.Generator) -> TextPair:
    """An animal among things, and one of another kind among others."""
    kinds = [int(number) for number in rng.permutation(len(KINDS))[:2]]
    animals = [ANIMALS[OF_A_KIND * kind + int(rng.integers(OF_A_KIND))] for kind in kinds]
    things = [THINGS[number] for number in rng.permutation(len(THINGS))[: 2 * _THINGS]]
    texts = []
    for animal, some in zip(animals, (things[:_THINGS], things[_THINGS:]), strict=True):
        words = [animal, *some]
        texts.append(f"So {' '.join(words[number] for number in rng.permutation(len(words)))} by")
    clean, corrupt = (f" {KINDS[kind]}" for kind in kinds)
    return TextPair(clean=texts[0], corrupt=texts[1], answers=(clean,), distractors=(corrupt,))


def _true(head: Node) -> frozenset[Edge]:
    """From the head of animals to their features, from these to those of their kinds, and from these to the logits."""
    animals = [Node("mlp", OF_WORDS, part=f"f{number}") for number in range(len(ANIMALS))]
    kinds = [Node("mlp", OF_KINDS, part=f"f{number}") for number in range(len(KINDS))]
    read = (Edge(animal, kinds[kind_of(number)]) for number, animal in enumerate(animals))
    return frozenset((*(Edge(head, each) for each in animals), *read, *(Edge(kind, LOGITS) for kind in kinds)))


def _of_words(name: str, layer: BareLayer, present: Float[Tensor, "feature d_model"]) -> Dictionary:
    """Which words there are, as the MLP reads it, and what it writes of each."""
    count, none = len(present), torch.zeros(layer.mlp_out.shape[1]).to(present)
    encoder = Encoder(present.T.contiguous(), none.new_zeros(count), Thresholded(none.new_full((count,), 0.5)))
    decoder = Decoder((present @ layer.mlp_in) @ layer.mlp_out, none)
    return Dictionary(f"{name}, words", encoder, decoder, Hook("resid_mid", OF_WORDS), Hook("mlp_out", OF_WORDS))


def _of_kinds(name: str, layer: BareLayer) -> Dictionary:
    """Which kind it is: the hidden units that were written."""
    count, none = len(KINDS), torch.zeros(layer.mlp_out.shape[1]).to(layer.mlp_in)
    encoder = Encoder(layer.mlp_in[:, :count].contiguous(), none.new_zeros(count), Rectified())
    decoder = Decoder(layer.mlp_out[:count], none)
    return Dictionary(f"{name}, kinds", encoder, decoder, Hook("resid_mid", OF_KINDS), Hook("mlp_out", OF_KINDS))
