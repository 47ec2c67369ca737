"""Behaviours: what a model is asked to do. Names that need torch are loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from acdc.tasks.errors import BadBehaviourFile as BadBehaviourFile
from acdc.tasks.errors import BadPrompts as BadPrompts
from acdc.tasks.errors import BrokenPlugin as BrokenPlugin
from acdc.tasks.errors import PromptProblem as PromptProblem
from acdc.tasks.errors import TaskError as TaskError
from acdc.tasks.errors import UnknownMetric as UnknownMetric
from acdc.tasks.errors import UnknownShippedModel as UnknownShippedModel
from acdc.tasks.errors import UnknownTask as UnknownTask
from acdc.tasks.models import shipped_model as shipped_model
from acdc.tasks.models import shipped_models as shipped_models
from acdc.tasks.registry import get as get
from acdc.tasks.registry import names as names

if TYPE_CHECKING:
    from acdc.tasks.batches import PromptBatch as PromptBatch
    from acdc.tasks.files.behaviour_file import load_behaviour_file as load_behaviour_file
    from acdc.tasks.known_metrics import metric_names as metric_names
    from acdc.tasks.metrics import AbstractMetric as AbstractMetric
    from acdc.tasks.metrics import Targets as Targets
    from acdc.tasks.metrics import metric as metric
    from acdc.tasks.pairs import ChatTemplate as ChatTemplate
    from acdc.tasks.pairs import Scoring as Scoring
    from acdc.tasks.pairs import TextPair as TextPair
    from acdc.tasks.pairs import Tokenizer as Tokenizer
    from acdc.tasks.pairs import Wording as Wording
    from acdc.tasks.prompts import AbstractPromptSource as AbstractPromptSource
    from acdc.tasks.prompts import ListedPrompts as ListedPrompts
    from acdc.tasks.prompts import PromptPairs as PromptPairs
    from acdc.tasks.prompts import TemplatePrompts as TemplatePrompts
    from acdc.tasks.slots import Rows as Rows
    from acdc.tasks.slots import Slots as Slots
    from acdc.tasks.task import About as About
    from acdc.tasks.task import Prompts as Prompts
    from acdc.tasks.task import Task as Task
    from acdc.tasks.task import Variation as Variation
    from acdc.tasks.token_prompts import TokenPrompts as TokenPrompts

_HOMES = {
    "acdc.tasks.batches": ("PromptBatch",),
    "acdc.tasks.files.behaviour_file": ("load_behaviour_file",),
    "acdc.tasks.known_metrics": ("metric_names",),
    "acdc.tasks.metrics": ("AbstractMetric", "Targets", "metric"),
    "acdc.tasks.pairs": ("ChatTemplate", "Scoring", "TextPair", "Tokenizer", "Wording"),
    "acdc.tasks.prompts": ("AbstractPromptSource", "ListedPrompts", "PromptPairs", "TemplatePrompts"),
    "acdc.tasks.slots": ("Rows", "Slots"),
    "acdc.tasks.task": ("About", "Prompts", "Task", "Variation"),
    "acdc.tasks.token_prompts": ("TokenPrompts",),
}


def __getattr__(name: str) -> Any:
    for home, offered in _HOMES.items():
        if name in offered:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *(name for offered in _HOMES.values() for name in offered)})
