"""The public face of each package: the names it promises, and that they are what they say."""

from __future__ import annotations

import ast
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import acdc
from acdc import graphs, tasks

PUBLIC = {
    acdc: [
        "Ablation",
        "Attribution",
        "Chance",
        "Circuit",
        "ComputationalGraph",
        "Compute",
        "Edge",
        "Edges",
        "ExactPatching",
        "Executor",
        "Faithfulness",
        "GradientInteraction",
        "GreedyPruning",
        "GroupedPruning",
        "HeadImportance",
        "InformationFlow",
        "IntegratedGradients",
        "KeptAccuracy",
        "KeptFaithfulness",
        "LearnedMasks",
        "MeanKL",
        "Method",
        "Node",
        "Problem",
        "PromptPairs",
        "RelevancePatching",
        "Result",
        "Setup",
        "Task",
        "TextPair",
        "Threshold",
        "attack",
        "compare",
        "completeness",
        "discover",
        "discover_robust",
        "equivalence",
        "evaluate",
        "explore",
        "faithfulness",
        "get_task",
        "independence",
        "judgement",
        "load_model",
        "metrics",
        "minimality",
        "model_from_bridge",
        "necessity",
        "page",
        "partial_necessity",
        "rediscover",
        "render",
        "sensitivity",
        "stability",
        "sufficiency",
        "tracr_task",
        "watching",
    ],
    graphs: [
        "Ablation",
        "Circuit",
        "ComputationalGraph",
        "Edge",
        "Executor",
        "GraphsError",
        "Model",
        "Node",
        "Receiver",
        "dot",
        "load",
    ],
    tasks: [
        "About",
        "AbstractMetric",
        "AbstractPromptSource",
        "BadBehaviourFile",
        "BadPrompts",
        "BrokenPlugin",
        "ChatTemplate",
        "ListedPrompts",
        "PromptBatch",
        "PromptPairs",
        "PromptProblem",
        "Prompts",
        "Rows",
        "Scoring",
        "Slots",
        "Targets",
        "Task",
        "TaskError",
        "TemplatePrompts",
        "TextPair",
        "TokenPrompts",
        "Tokenizer",
        "UnknownMetric",
        "UnknownShippedModel",
        "UnknownTask",
        "Variation",
        "Wording",
        "get",
        "load_behaviour_file",
        "metric",
        "metric_names",
        "names",
        "shipped_model",
        "shipped_models",
    ],
}
EVERY_PACKAGE = pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
PAIRS = [(package, name) for package in PUBLIC for name in PUBLIC[package]]
EVERY_NAME = pytest.mark.parametrize(("package", "name"), PAIRS, ids=[f"{p.__name__}.{name}" for p, name in PAIRS])


def declared(package: ModuleType) -> Iterator[tuple[str, str]]:
    """Each name that type checkers see a package export, and the dotted place it comes from."""
    assert package.__file__ is not None
    for node in ast.walk(ast.parse(Path(package.__file__).read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module=str() as module, names=names):
                yield from ((n.name, f"{module}.{n.name}") for n in names if n.asname == n.name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Attribute() as index):
                yield name, ast.unparse(index)


@EVERY_PACKAGE
def test_the_public_names_are_these(package: ModuleType) -> None:
    assert sorted(name for name, _ in declared(package)) == PUBLIC[package]


@EVERY_NAME
def test_a_name_is_what_type_checkers_take_it_for(package: ModuleType, name: str) -> None:
    assert getattr(package, name) is pkgutil.resolve_name(dict(declared(package))[name])


@EVERY_PACKAGE
def test_dir_lists_the_public_names_and_nothing_else_lazy(package: ModuleType) -> None:
    assert set(PUBLIC[package]) <= set(dir(package))
    assert set(dir(package)) - set(vars(package)) <= set(PUBLIC[package])


@EVERY_PACKAGE
def test_no_public_name_is_also_a_module(package: ModuleType) -> None:
    # Importing the module would put it in the place of the function or class of that name.
    assert {module.name for module in pkgutil.iter_modules(package.__path__)} & set(PUBLIC[package]) == set()


def test_what_the_docstring_shows_is_public() -> None:
    assert acdc.__doc__ is not None
    shown = set(re.findall(r"\bacdc\.(\w+)", acdc.__doc__))
    assert shown - set(PUBLIC[acdc]) == {"judges"}, "a module"
    judges = {module.name for module in pkgutil.iter_modules([str(Path(acdc.__path__[0]) / "judges")])}
    assert judges & set(PUBLIC[acdc]) <= shown, "every judge is shown"


@EVERY_PACKAGE
def test_an_unknown_name_is_an_attribute_error(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'disocver'"):
        package.disocver  # noqa: B018


@EVERY_PACKAGE
def test_type_checkers_are_told_that_the_package_is_typed(package: ModuleType) -> None:
    assert (Path(package.__path__[0]) / "py.typed").is_file()
