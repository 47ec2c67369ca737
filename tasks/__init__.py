"""Behaviours: what a model is asked to do. Names that need torch are loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tasks.errors import BadBehaviourFile as BadBehaviourFile
from tasks.errors import BadPrompts as BadPrompts
from tasks.errors import BrokenPlugin as BrokenPlugin
from tasks.errors import PromptProblem as PromptProblem
from tasks.errors import TaskError as TaskError
from tasks.errors import UnknownMetric as UnknownMetric
from tasks.errors import UnknownShippedModel as UnknownShippedModel
from tasks.errors import UnknownTask as UnknownTask
from tasks.models import shipped_model as shipped_model
from tasks.models import shipped_models as shipped_models
from tasks.registry import get as get
from tasks.registry import names as names

if TYPE_CHECKING:
    from tasks.batches import PromptBatch as PromptBatch
    from tasks.files.behaviour_file import load_behaviour_file as load_behaviour_file
    from tasks.known_metrics import metric_names as metric_names
    from tasks.metrics import AbstractMetric as AbstractMetric
    from tasks.metrics import Targets as Targets
    from tasks.metrics import metric as metric
    from tasks.pairs import TextPair as TextPair
    from tasks.pairs import Tokenizer as Tokenizer
    from tasks.prompts import AbstractPromptSource as AbstractPromptSource
    from tasks.prompts import ListedPrompts as ListedPrompts
    from tasks.prompts import PromptPairs as PromptPairs
    from tasks.prompts import TemplatePrompts as TemplatePrompts
    from tasks.slots import Rows as Rows
    from tasks.slots import Slots as Slots
    from tasks.task import About as About
    from tasks.task import Prompts as Prompts
    from tasks.task import ReferenceCircuit as ReferenceCircuit
    from tasks.task import Task as Task
    from tasks.task import Variation as Variation
    from tasks.token_prompts import TokenPrompts as TokenPrompts

_HOMES = {
    "tasks.batches": ("PromptBatch",),
    "tasks.files.behaviour_file": ("load_behaviour_file",),
    "tasks.known_metrics": ("metric_names",),
    "tasks.metrics": ("AbstractMetric", "Targets", "metric"),
    "tasks.pairs": ("TextPair", "Tokenizer"),
    "tasks.prompts": ("AbstractPromptSource", "ListedPrompts", "PromptPairs", "TemplatePrompts"),
    "tasks.slots": ("Rows", "Slots"),
    "tasks.task": ("About", "Prompts", "ReferenceCircuit", "Task", "Variation"),
    "tasks.token_prompts": ("TokenPrompts",),
}


def __getattr__(name: str) -> Any:
    for home, offered in _HOMES.items():
        if name in offered:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *(name for offered in _HOMES.values() for name in offered)})
