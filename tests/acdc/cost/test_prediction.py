"""What a discovery would cost is told from a checkpoint's configuration and headers; nothing else of it is read."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

import acdc
from acdc import tasks
from acdc.cost import prediction
from acdc.cost.forecast import footprint_of
from acdc.cost.prediction import CostPrediction, predict
from acdc.discovery.defaults import Defaults
from acdc.errors import AcdcError
from acdc.models import load_named
from acdc.problems import problems
from acdc.settings import Compute, Edges, Goal, KeptFaithfulness, Method, Minutes, Setup, Threshold
from acdc.tasks.errors import TaskError
from acdc.tasks.metrics import metric, metric_names
from acdc.tasks.prompts import ListedPrompts, TextPair
from acdc.tasks.task import About, Task
from acdc.tasks.token_prompts import TokenPrompts
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.test_shapes import huge
from tests.test_imports import HEAVY, loaded_by

SPEED = 1e10


@pytest.fixture(autouse=True)
def _always_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "operations_per_second", lambda *_: SPEED)


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads weights fails."""

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("weights are read")

    for name in ("acdc.models.load_model", "acdc.graphs.model.load", "safetensors.torch.load_file"):
        monkeypatch.setattr(name, refused)
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", refused)


def told(
    task: str = "periodic", model: str = "periodic-2l", method: str = "acdc", goal: Goal | None = None, **setup: Any
) -> CostPrediction:
    asked = Setup(**{"prompts": 16, **setup})
    chosen = Defaults(Method(method), goal or Threshold(0.1), asked.prompts)
    found = predict(acdc.get_task(task), model, chosen, asked)
    assert found is not None
    return found


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize(("task", "model"), [("ioi", "everyday-4l"), ("siit_lookup", "siit-lookup-3l")])
def test_shipped_models_are_told_of_without_their_weights(task: str, model: str) -> None:
    cost = told(task, model)
    assert min(cost.holding.weights, cost.holding.above, *cost.seconds) > 0
    assert cost.holding.whole > cost.holding.weights + cost.holding.above
    assert cost.seconds[0] < cost.seconds[1]


def test_nothing_heavy_is_loaded_for_it() -> None:
    words = "discover periodic --dry-run --quiet --json"
    ran = f"import acdc.cli\nassert acdc.cli.main({words.split()!r}) == 0"
    assert loaded_by(ran) == set(), HEAVY


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_weights_take_what_they_take_in_the_precision_asked_for(dtype: str) -> None:
    model = load_named("periodic-2l", Setup().on(dtype=dtype))
    (file,) = tasks.shipped_model("periodic-2l").glob("*.safetensors")
    with safe_open(file, "numpy") as weights:
        numbers = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    assert told(compute=Compute(dtype=dtype)).holding.weights == numbers * model.unembedding.weight.element_size()


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "mixtral", "falcon", "gpt2"])
def test_memory_is_that_of_the_loaded_model(architecture: Architecture, checkpoints: Checkpoints) -> None:
    path = str(checkpoints.path(architecture))
    animals = [(one, other) for one in ("cat", "dog", "John", "Mary") for other in ("mat", "it", "cat") if one != other]
    pairs = [
        TextPair(f" the {one} sat on {other}", f" the {other} sat on {other}", (" a",), (" saw",))
        for one, other in animals
    ]
    prompts = ListedPrompts(tuple(pairs), tuple(str(number) for number in range(len(pairs))))
    task = Task("sat", About("Sits."), path, "kl", prompts)
    setup = Setup(prompts=5, metric="kl")
    cost = predict(task, path, Defaults(Method(), Threshold(0.1), 5), setup)
    assert cost is not None
    problem = problems(task, load_named(path, setup), setup)[0]
    held = footprint_of(problem)
    assert cost.shape.graph == problem.graph
    assert cost.holding.above == held.peak(held.trials(Method().max_bytes, vocabulary=True))


def test_a_terabyte_of_weights_is_told_of(checkpoints: Checkpoints, tmp_path: Path) -> None:
    numbers = huge(tmp_path, checkpoints.path("llama"))
    for file in checkpoints.path("llama").glob("tokenizer*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    clean, corrupt = ([[5, first, 7 + number] for number in range(4)] for first in (6, 5))
    prompts = TokenPrompts(clean, corrupt, answers=[8] * 4, distractors=[9] * 4)
    task = Task("sat", About("Sits."), str(tmp_path), "kl", prompts)
    cost = predict(task, str(tmp_path), Defaults(Method(), Threshold(0.1), 2), Setup(prompts=2))
    assert cost is not None
    assert cost.holding.weights == 4 * numbers


@pytest.mark.parametrize("minutes", [2.0, 30.0])
def test_the_time_for_so_many_minutes_is_these(minutes: float) -> None:
    least, most = told(goal=Minutes(minutes)).seconds
    assert least == pytest.approx(0.8 * 60 * minutes)
    assert most == pytest.approx(60 * minutes)


def test_more_takes_longer() -> None:
    few, many = (told(prompts=count).seconds for count in (4, 60))
    assert few[0] < many[0]
    assert few[1] < many[1]
    one, series = told(), told(goal=KeptFaithfulness())
    assert one.work.runs == 1 < series.work.runs
    assert one.seconds[1] < series.seconds[1]


def test_a_faster_device_takes_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = told("ioi", "everyday-4l").seconds
    monkeypatch.setattr(prediction, "operations_per_second", lambda *_: 10 * SPEED)
    assert told("ioi", "everyday-4l").seconds < slow


@pytest.mark.parametrize(
    ("setting", "refusal"),
    [
        ({"method": "eap", "metric": "accuracy"}, "accuracy has no gradient"),
        ({"method": "eap", "metric": "kl"}, "the gradient of kl is 0 at every edge"),
        ({"method": "hisp", "metric": "l2"}, "the gradient of l2 is 0 at every edge"),
        ({"metric": "log_probability_difference"}, "this metric is of whole answers only"),
        ({"task": "greater_than"}, "prompt"),
    ],
)
def test_what_a_discovery_would_refuse_is_refused(setting: dict[str, Any], refusal: str) -> None:
    with pytest.raises((AcdcError, TaskError)) as told_of:
        told(**setting)
    assert re.search(refusal, str(told_of.value))


@pytest.mark.parametrize("model", ["tracr:reverse", "planted-and:0", "gpt2"])
def test_what_has_no_files_here_is_not_told_of(model: str) -> None:
    chosen = Defaults(Method(), Edges(5), 4)
    assert predict(acdc.get_task("periodic"), model, chosen, Setup(prompts=4)) is None


def test_the_json_form_has_it_all() -> None:
    data = told(method="eap-ig", goal=Edges(5)).to_json()
    assert (data["from"], data["edges"], data["receivers"], data["nodes"]) == ("configuration", 110, 27, 12)
    assert (data["method"], data["goal"], data["runs"], data["passes"]) == ("eap-ig", "Edges", 0, 5)
    assert data["prompts"]["count"] == 16
    assert data["seconds"] < data["slowest"]
    assert data["weights"] + data["bytes"] < data["bytes_with_model"]


def test_the_metric_of_answers_alone_is_the_one_that_needs_no_vocabulary() -> None:
    assert [name for name in metric_names() if not metric(name).needs_vocabulary] == [prediction._OF_ANSWERS]
    assert {name for name in metric_names() if metric(name).stationary} == set(prediction._STATIONARY)
    assert [name for name in metric_names() if not metric(name).differentiable] == ["accuracy"]
