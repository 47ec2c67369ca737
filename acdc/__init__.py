"""Automated circuit discovery: a behaviour in, the smallest circuit that still does it out.

>>> import acdc
>>> result = acdc.discover("periodic")
>>> result.circuit, result.faithfulness

Everything a user needs is here by name and loaded when first used, so that `import acdc` stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    import graphs.model
    import tasks.registry
    from acdc.algorithms.attribution import Attribution as Attribution
    from acdc.algorithms.attribution import IntegratedGradients as IntegratedGradients
    from acdc.algorithms.chance import Chance as Chance
    from acdc.algorithms.exact import ExactPatching as ExactPatching
    from acdc.algorithms.greedy import GreedyPruning as GreedyPruning
    from acdc.algorithms.grouped import GroupedPruning as GroupedPruning
    from acdc.algorithms.importance import HeadImportance as HeadImportance
    from acdc.algorithms.information_flow import InformationFlow as InformationFlow
    from acdc.algorithms.masks import LearnedMasks as LearnedMasks
    from acdc.comparison import compare as compare
    from acdc.discovery import Result as Result
    from acdc.discovery import discover as discover
    from acdc.evaluation import evaluate as evaluate
    from acdc.goals import Edges as Edges
    from acdc.goals import KeptFaithfulness as KeptFaithfulness
    from acdc.goals import Threshold as Threshold
    from acdc.judges.faithfulness import Faithfulness as Faithfulness
    from acdc.method import Method as Method
    from acdc.problem import Problem as Problem
    from acdc.rediscovery import rediscover as rediscover
    from acdc.setup import Setup as Setup
    from acdc.truth.tracr import tracr_task as tracr_task
    from graphs.ablation import Ablation as Ablation
    from graphs.circuit import Circuit as Circuit
    from graphs.computation import ComputationalGraph as ComputationalGraph
    from graphs.executor import Executor as Executor
    from graphs.nodes import Edge as Edge
    from graphs.nodes import Node as Node
    from graphs.render import render as render
    from tasks import metrics as metrics
    from tasks.prompts import PromptPairs as PromptPairs
    from tasks.task import Task as Task
    from tasks.tokenisation import TextPair as TextPair

    get_task = tasks.registry.get
    load_model = graphs.model.load
    model_from_bridge = graphs.model.from_bridge
else:  # unseen by type checkers, which would otherwise let every misspelt name pass
    # name here -> its module and, after the colon, its name there
    _HOMES = {
        "Ablation": "graphs.ablation:Ablation",
        "Attribution": "acdc.algorithms.attribution:Attribution",
        "Chance": "acdc.algorithms.chance:Chance",
        "Circuit": "graphs.circuit:Circuit",
        "ComputationalGraph": "graphs.computation:ComputationalGraph",
        "Edge": "graphs.nodes:Edge",
        "Edges": "acdc.goals:Edges",
        "ExactPatching": "acdc.algorithms.exact:ExactPatching",
        "Executor": "graphs.executor:Executor",
        "Faithfulness": "acdc.judges.faithfulness:Faithfulness",
        "GreedyPruning": "acdc.algorithms.greedy:GreedyPruning",
        "GroupedPruning": "acdc.algorithms.grouped:GroupedPruning",
        "HeadImportance": "acdc.algorithms.importance:HeadImportance",
        "InformationFlow": "acdc.algorithms.information_flow:InformationFlow",
        "IntegratedGradients": "acdc.algorithms.attribution:IntegratedGradients",
        "KeptFaithfulness": "acdc.goals:KeptFaithfulness",
        "LearnedMasks": "acdc.algorithms.masks:LearnedMasks",
        "Method": "acdc.method:Method",
        "Node": "graphs.nodes:Node",
        "Problem": "acdc.problem:Problem",
        "PromptPairs": "tasks.prompts:PromptPairs",
        "Result": "acdc.discovery:Result",
        "Setup": "acdc.setup:Setup",
        "Task": "tasks.task:Task",
        "TextPair": "tasks.tokenisation:TextPair",
        "Threshold": "acdc.goals:Threshold",
        "compare": "acdc.comparison:compare",
        "discover": "acdc.discovery:discover",
        "evaluate": "acdc.evaluation:evaluate",
        "get_task": "tasks.registry:get",
        "load_model": "graphs.model:load",
        "metrics": "tasks.metrics",
        "model_from_bridge": "graphs.model:from_bridge",
        "rediscover": "acdc.rediscovery:rediscover",
        "render": "graphs.render:render",
        "tracr_task": "acdc.truth.tracr:tracr_task",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from pkgutil import resolve_name

        return resolve_name(_HOMES[name])

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})
