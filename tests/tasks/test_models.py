"""The shipped models are ordinary checkpoints and do what their cards say."""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache
from importlib import import_module
from itertools import groupby, pairwise
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from acdc.tasks.builtin.combinations import Combinations, is_held_out
from acdc.tasks.builtin.ioi import NAMES
from acdc.tasks.builtin.vocabulary import WORDS
from acdc.tasks.models import shipped_model, shipped_models
from acdc.tasks.models.training.word_level import save_tokenizer, word_level_tokenizer
from acdc.tasks.tokenisation import TextPair

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

INTERCHANGED = ("siit-lookup-3l", "siit-pick-3l")
"""The models that were trained by interchange to compute a program; their true edges are known."""
MODELS = ("everyday-4l", "periodic-2l", *INTERCHANGED)


@cache
def loaded(name: str) -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = shipped_model(name)
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


@cache
def script(name: str) -> ModuleType:
    """The training script of a shipped model, loaded as a module; its folder's name cannot be imported."""
    spec = importlib.util.spec_from_file_location(f"train_{name.replace('-', '_')}", shipped_model(name) / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
def accuracy(model: str, pairs: list[TextPair]) -> float:
    """The share of prompts after which the likeliest token is an answer."""
    network, tokenizer = loaded(model)
    prompts = [(tokenizer.encode(pair.clean), pair.answers) for pair in pairs]
    right = 0
    for _, alike in groupby(sorted(prompts, key=lambda prompt: len(prompt[0])), key=lambda prompt: len(prompt[0])):
        tokens, answers = zip(*alike, strict=True)
        best = tokenizer.batch_decode(network(torch.tensor(tokens)).logits[:, -1].argmax(-1, keepdim=True))
        right += sum(one in [answer.strip() for answer in given] for one, given in zip(best, answers, strict=True))
    return right / len(pairs)


def drawn(behaviour: str, among: Combinations, count: int) -> list[TextPair]:
    rng = np.random.default_rng(7)
    draw = import_module(f"acdc.tasks.builtin.{behaviour}").draw
    return [draw(rng, among) for _ in range(count)]


def test_the_models_are_shipped_and_small() -> None:
    assert shipped_models() == MODELS
    files = [path for name in MODELS for path in shipped_model(name).iterdir()]
    assert sum(path.stat().st_size for path in files) < 25e6


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_with_its_card_and_its_script(name: str) -> None:
    wanted = {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "train.py"}
    wanted |= {"truth.json"} if name in INTERCHANGED else set()
    assert {path.name for path in shipped_model(name).iterdir() if path.is_file()} == wanted


@pytest.mark.parametrize(
    ("name", "shape"),
    [("everyday-4l", (4, 8, 128)), ("periodic-2l", (2, 4, 64)), *((name, (3, 4, 64)) for name in INTERCHANGED)],
)
def test_a_model_is_an_ordinary_gpt2(name: str, shape: tuple[int, int, int]) -> None:
    model, tokenizer = loaded(name)
    config = model.config
    assert config.model_type == "gpt2"
    assert (config.n_layer, config.n_head, config.n_embd) == shape
    assert config.vocab_size == len(tokenizer)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("among", [Combinations.HELD_OUT, Combinations.TRAINED])
def test_periodic_2l_continues_patterns_it_never_saw(among: Combinations) -> None:
    assert accuracy("periodic-2l", drawn("periodic", among, 300)) >= 0.99


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("A B A B A", "B"),
        ("1 2 1 2 1", "2"),
        ("cat dog cat dog cat", "dog"),
        ("Q Q Q", "Q"),
        ("sun 3 K tree sun 3", "K"),
        ("E D C B A E D C", "B"),
    ],
)
def test_periodic_2l_continues_any_symbols(prompt: str, answer: str) -> None:
    model, tokenizer = loaded("periodic-2l")
    for prefix in ([], [tokenizer.bos_token_id]):
        best = model(torch.tensor([[*prefix, *tokenizer.encode(prompt)]])).logits[0, -1].argmax()
        assert tokenizer.decode(best) == answer


@pytest.mark.parametrize("behaviour", ["ioi", "greater_than", "docstring", "agreement", "addition", "induction"])
def test_everyday_4l_does_what_it_never_saw(behaviour: str) -> None:
    assert accuracy("everyday-4l", drawn(behaviour, Combinations.HELD_OUT, 200)) >= 0.95


@pytest.mark.parametrize("order", ["ABBA", "BABA"])
def test_everyday_4l_finds_the_indirect_object_in_either_order(order: str) -> None:
    pairs = [pair for pair in drawn("ioi", Combinations.HELD_OUT, 300) if pair.wording.template.startswith(order)]
    assert accuracy("everyday-4l", pairs) >= 0.95


@pytest.mark.parametrize("among", [Combinations.HELD_OUT, Combinations.TRAINED])
@pytest.mark.parametrize("name", INTERCHANGED)
def test_a_taught_model_does_its_task(name: str, among: Combinations) -> None:
    assert accuracy(name, drawn(script(name).ALIGNED.task, among, 300)) >= 0.99


@pytest.mark.parametrize("name", INTERCHANGED)
def test_a_taught_model_is_never_trained_on_held_out_combinations(name: str) -> None:
    aligned = script(name).ALIGNED
    pool = {combined_tokens(name, row) for row in aligned.training(0, pool=3000).pool.tolist()}
    held_out = {combined_tokens(name, row) for row in aligned.prompts(3000, 1, Combinations.HELD_OUT).tolist()}
    assert len(pool) > 80
    assert not pool & held_out


def combined_tokens(name: str, row: list[int]) -> tuple[int, ...]:
    """The part of a prompt whose combination is held out or not."""
    return tuple(row[::2] if name == "siit-lookup-3l" else row[:5])


def test_periodic_2l_repeats_random_words() -> None:
    assert accuracy("periodic-2l", drawn("induction", Combinations.HELD_OUT, 200)) >= 0.95


@pytest.mark.parametrize("name", MODELS)
def test_the_script_writes_the_shipped_tokenizer(name: str, tmp_path: Path) -> None:
    training = script(name)
    match name:
        case "everyday-4l":
            save_tokenizer(training.vocabulary(), training.POSITIONS, tmp_path)
        case "periodic-2l":
            save_tokenizer(training.SYMBOLS, training.POSITIONS, tmp_path)
        case _:
            training.ALIGNED.save(loaded(name)[0], tmp_path)
            assert (tmp_path / "truth.json").read_text() == (shipped_model(name) / "truth.json").read_text()
    for file in ("tokenizer.json", "tokenizer_config.json"):
        assert json.loads((tmp_path / file).read_text()) == json.loads((shipped_model(name) / file).read_text())


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_fixes_the_training(name: str) -> None:
    first, again, other = (first_steps(name, seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def first_steps(name: str, seed: int) -> torch.Tensor:
    """Some weights after two steps of training."""
    training = script(name)
    if name == "everyday-4l":
        model = training.train(seed, steps=2)
    elif name in INTERCHANGED:
        run = training.ALIGNED.training(seed, pool=50)
        list(run.steps(2, batch=4))
        model = run.model
    else:
        run = training.Training(seed)
        run.run([1e-3, 1e-3])
        model = run.model
    return model.transformer.wte.weight.detach().clone()


def test_periodic_2l_is_never_trained_on_held_out_neighbours() -> None:
    training = script("periodic-2l")
    sequences = training.Sequences(0)
    predicted = 0
    for _ in range(20):
        tokens, labels = sequences.batch()
        rows, indices = (labels >= 0).nonzero(as_tuple=True)
        current, following = tokens[rows, indices] - training.SPECIAL, labels[rows, indices] - training.SPECIAL
        assert not sequences.held_out[current, following].any()
        predicted += len(rows)
    assert predicted > 10_000


@pytest.mark.parametrize("behaviour", ["induction", "docstring", "ioi"])
def test_everyday_4l_is_never_trained_on_held_out_combinations(behaviour: str) -> None:
    sentences = script("everyday-4l").Sentences(0)
    trained = [combination for _ in range(500) for combination in combined(behaviour, sentences.sentence(behaviour)[0])]
    assert len(set(trained)) >= 50
    assert not any(is_held_out(*combination) for combination in trained)


def combined(behaviour: str, prompt: str) -> list[tuple[str, str]]:
    """The combinations of words that a prompt is made of, found from its text."""
    match behaviour:
        case "induction":
            return [(min(pair), max(pair)) for pair in pairwise(prompt.split())]
        case "docstring":
            return list(pairwise(prompt.split("(self, ")[1].split("):")[0].split(", ")))
        case "ioi":
            names = sorted(set(re.findall(r"\w+", prompt)) & set(NAMES))
            return [(names[0], names[1])]
    raise AssertionError(f"no such behaviour: {behaviour}")


def test_the_card_names_what_was_given_up() -> None:
    card = (shipped_model("periodic-2l") / "README.md").read_text(encoding="utf-8")
    stated = re.search(r"their output weights are zero: (.+?)\. ", card, flags=re.DOTALL)
    assert stated is not None
    weights = script("periodic-2l").output_weights(loaded("periodic-2l")[0])
    off = {component for component, weight in weights if not weight.any()}
    assert set(re.findall(r"a\d\.h\d|m\d", stated[1])) == off


def test_words_digits_and_marks_are_one_token_each() -> None:
    tokenizer = word_level_tokenizer(["Mary", "17", "32", "1", ",", '"""', *WORDS])
    written = ' Mary, cat\n    """ 1732 1 dog'
    pieces = ["Mary", ",", "cat", '"""', "17", "32", "1", "dog"]
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode(written)) == pieces
    assert tokenizer.encode("unheard of") == [tokenizer.unk_token_id] * 2
