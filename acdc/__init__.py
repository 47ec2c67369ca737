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
    from acdc.algorithms.greedy import GreedyPruning as GreedyPruning
    from acdc.discovery import Result as Result
    from acdc.discovery import discover as discover
    from acdc.evaluation import evaluate as evaluate
    from acdc.judges.faithfulness import Faithfulness as Faithfulness
    from acdc.problem import Problem as Problem
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
else:  # unseen by type checkers, which would otherwise let every misspelt name pass
    # name here -> its module and, after the colon, its name there
    _HOMES = {
        "Ablation": "graphs.ablation:Ablation",
        "Circuit": "graphs.circuit:Circuit",
        "ComputationalGraph": "graphs.computation:ComputationalGraph",
        "Edge": "graphs.nodes:Edge",
        "Executor": "graphs.executor:Executor",
        "Faithfulness": "acdc.judges.faithfulness:Faithfulness",
        "GreedyPruning": "acdc.algorithms.greedy:GreedyPruning",
        "Node": "graphs.nodes:Node",
        "Problem": "acdc.problem:Problem",
        "PromptPairs": "tasks.prompts:PromptPairs",
        "Result": "acdc.discovery:Result",
        "Task": "tasks.task:Task",
        "TextPair": "tasks.tokenisation:TextPair",
        "discover": "acdc.discovery:discover",
        "evaluate": "acdc.evaluation:evaluate",
        "get_task": "tasks.registry:get",
        "load_model": "graphs.model:load",
        "metrics": "tasks.metrics",
        "render": "graphs.render:render",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from pkgutil import resolve_name

        return resolve_name(_HOMES[name])

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})
