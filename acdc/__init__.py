"""Automated circuit discovery: a behaviour in, the smallest circuit that still does it out.

>>> import acdc
>>> result = acdc.discover("periodic")
>>> result.circuit, result.faithfulness

In a notebook both show themselves, `result.page()`, `circuit.page()` and `acdc.page("runs/...")` show a page to
work with, and `to_pandas` of a circuit or of `result.curve` gives a table.

A circuit, found here or elsewhere, is judged on prompts, each judge taking a problem and a circuit:

>>> circuit = acdc.Circuit.load("runs/periodic-periodic-2l/circuit.json")
>>> problem = acdc.judgement(circuit)
>>> acdc.faithfulness(problem, circuit).normalised     # how much of the behaviour it keeps, with an interval
>>> acdc.completeness(problem, circuit).worst          # the nodes without which circuit and model differ most
>>> acdc.equivalence(problem, circuit).tost.p_value    # scores like the model (TOST; small: alike)
>>> acdc.independence(problem, circuit).p_value        # small: something of the behaviour is outside it
>>> acdc.minimality(problem, circuit).useless          # edges that do no more than random ones
>>> acdc.sufficiency(problem, circuit).p_value         # small: nearer to the model than random circuits of its size
>>> acdc.necessity(problem, circuit).kept              # what the model keeps without it
>>> acdc.partial_necessity(problem, circuit).p_value   # small: missed more than random circuits of its size
>>> acdc.sensitivity(problem, circuit).ablations       # whether it holds under other ablations and metrics
>>> acdc.attack(circuit).found.worst[0]                # the worst prompt found, on which the model is right
>>> acdc.rediscover(circuit).frequencies               # how often repeated discoveries find each edge

`acdc.judges.statistical_tests.statistical_tests(problem, circuit)` makes all of them at once; `acdc.stability`
compares circuits that were discovered in any other way.

Everything a user needs is here by name and loaded when first used, so that `import acdc` stays fast.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    import acdc.attacks.attack
    import acdc.graphs.model
    import acdc.tasks.registry
    from acdc.algorithms.attribution import Attribution as Attribution
    from acdc.algorithms.attribution import IntegratedGradients as IntegratedGradients
    from acdc.algorithms.exact import ExactPatching as ExactPatching
    from acdc.algorithms.greedy import GreedyPruning as GreedyPruning
    from acdc.algorithms.grouped import GroupedPruning as GroupedPruning
    from acdc.algorithms.importance import HeadImportance as HeadImportance
    from acdc.algorithms.information_flow import InformationFlow as InformationFlow
    from acdc.algorithms.learned_masks import LearnedMasks as LearnedMasks
    from acdc.algorithms.modified_gradients import GradientInteraction as GradientInteraction
    from acdc.algorithms.modified_gradients import RelevancePatching as RelevancePatching
    from acdc.algorithms.random_scores import Chance as Chance
    from acdc.cli.progress import watching as watching
    from acdc.discovery.discover import Result as Result
    from acdc.discovery.discover import discover as discover
    from acdc.discovery.rediscover import rediscover as rediscover
    from acdc.explain.exploration import explore as explore
    from acdc.graphs.ablation import Ablation as Ablation
    from acdc.graphs.circuit import Circuit as Circuit
    from acdc.graphs.computation import ComputationalGraph as ComputationalGraph
    from acdc.graphs.drawing.render import render as render
    from acdc.graphs.execution.executor import Executor as Executor
    from acdc.graphs.nodes import Edge as Edge
    from acdc.graphs.nodes import Node as Node
    from acdc.ground_truth.tracr import tracr_task as tracr_task
    from acdc.judges.comparison import compare as compare
    from acdc.judges.completeness import completeness as completeness
    from acdc.judges.equivalence import equivalence as equivalence
    from acdc.judges.evaluation import evaluate as evaluate
    from acdc.judges.evaluation import judgement as judgement
    from acdc.judges.faithfulness import Faithfulness as Faithfulness
    from acdc.judges.faithfulness import faithfulness as faithfulness
    from acdc.judges.independence import independence as independence
    from acdc.judges.minimality import minimality as minimality
    from acdc.judges.necessity import necessity as necessity
    from acdc.judges.necessity import partial_necessity as partial_necessity
    from acdc.judges.sensitivity import sensitivity as sensitivity
    from acdc.judges.stability import stability as stability
    from acdc.judges.sufficiency import sufficiency as sufficiency
    from acdc.models import load_model as load_model
    from acdc.problem import Problem as Problem
    from acdc.report.frame import page as page
    from acdc.robust.learning import discover_robust as discover_robust
    from acdc.settings import Compute as Compute
    from acdc.settings import Edges as Edges
    from acdc.settings import KeptAccuracy as KeptAccuracy
    from acdc.settings import KeptFaithfulness as KeptFaithfulness
    from acdc.settings import MeanKL as MeanKL
    from acdc.settings import Method as Method
    from acdc.settings import Setup as Setup
    from acdc.settings import Threshold as Threshold
    from acdc.tasks import metrics as metrics
    from acdc.tasks.prompts import PromptPairs as PromptPairs
    from acdc.tasks.task import Task as Task
    from acdc.tasks.tokenisation import TextPair as TextPair

    attack = acdc.attacks.attack.attack_circuit
    get_task = acdc.tasks.registry.get
    model_from_bridge = acdc.graphs.model.from_bridge
else:  # unseen by type checkers, which would otherwise let every misspelt name pass
    # name here -> its module and, after the colon, its name there
    _HOMES = {
        "Ablation": "acdc.graphs.ablation:Ablation",
        "Attribution": "acdc.algorithms.attribution:Attribution",
        "Chance": "acdc.algorithms.random_scores:Chance",
        "Circuit": "acdc.graphs.circuit:Circuit",
        "ComputationalGraph": "acdc.graphs.computation:ComputationalGraph",
        "Compute": "acdc.settings:Compute",
        "Edge": "acdc.graphs.nodes:Edge",
        "Edges": "acdc.settings:Edges",
        "ExactPatching": "acdc.algorithms.exact:ExactPatching",
        "Executor": "acdc.graphs.execution.executor:Executor",
        "Faithfulness": "acdc.judges.faithfulness:Faithfulness",
        "GradientInteraction": "acdc.algorithms.modified_gradients:GradientInteraction",
        "GreedyPruning": "acdc.algorithms.greedy:GreedyPruning",
        "GroupedPruning": "acdc.algorithms.grouped:GroupedPruning",
        "HeadImportance": "acdc.algorithms.importance:HeadImportance",
        "InformationFlow": "acdc.algorithms.information_flow:InformationFlow",
        "IntegratedGradients": "acdc.algorithms.attribution:IntegratedGradients",
        "KeptAccuracy": "acdc.settings:KeptAccuracy",
        "KeptFaithfulness": "acdc.settings:KeptFaithfulness",
        "LearnedMasks": "acdc.algorithms.learned_masks:LearnedMasks",
        "MeanKL": "acdc.settings:MeanKL",
        "Method": "acdc.settings:Method",
        "Node": "acdc.graphs.nodes:Node",
        "Problem": "acdc.problem:Problem",
        "PromptPairs": "acdc.tasks.prompts:PromptPairs",
        "RelevancePatching": "acdc.algorithms.modified_gradients:RelevancePatching",
        "Result": "acdc.discovery.discover:Result",
        "Setup": "acdc.settings:Setup",
        "Task": "acdc.tasks.task:Task",
        "TextPair": "acdc.tasks.tokenisation:TextPair",
        "Threshold": "acdc.settings:Threshold",
        "attack": "acdc.attacks.attack:attack_circuit",
        "compare": "acdc.judges.comparison:compare",
        "completeness": "acdc.judges.completeness:completeness",
        "discover": "acdc.discovery.discover:discover",
        "equivalence": "acdc.judges.equivalence:equivalence",
        "evaluate": "acdc.judges.evaluation:evaluate",
        "explore": "acdc.explain.exploration:explore",
        "faithfulness": "acdc.judges.faithfulness:faithfulness",
        "get_task": "acdc.tasks.registry:get",
        "independence": "acdc.judges.independence:independence",
        "judgement": "acdc.judges.evaluation:judgement",
        "load_model": "acdc.models:load_model",
        "metrics": "acdc.tasks.metrics",
        "minimality": "acdc.judges.minimality:minimality",
        "model_from_bridge": "acdc.graphs.model:from_bridge",
        "necessity": "acdc.judges.necessity:necessity",
        "page": "acdc.report.frame:page",
        "partial_necessity": "acdc.judges.necessity:partial_necessity",
        "rediscover": "acdc.discovery.rediscover:rediscover",
        "discover_robust": "acdc.robust.learning:discover_robust",
        "render": "acdc.graphs.drawing.render:render",
        "sensitivity": "acdc.judges.sensitivity:sensitivity",
        "stability": "acdc.judges.stability:stability",
        "sufficiency": "acdc.judges.sufficiency:sufficiency",
        "tracr_task": "acdc.ground_truth.tracr:tracr_task",
        "watching": "acdc.cli.progress:watching",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return resolve_name(_HOMES[name])

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})
