"""The model as a graph, and circuits in it. Names are loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acdc.graphs.ablation import Ablation as Ablation
    from acdc.graphs.circuit import Circuit as Circuit
    from acdc.graphs.computation import ComputationalGraph as ComputationalGraph
    from acdc.graphs.drawing.render import dot as dot
    from acdc.graphs.errors import GraphsError as GraphsError
    from acdc.graphs.execution.executor import Executor as Executor
    from acdc.graphs.model import Model as Model
    from acdc.graphs.model import load as load
    from acdc.graphs.nodes import Edge as Edge
    from acdc.graphs.nodes import Node as Node
    from acdc.graphs.nodes import Receiver as Receiver
else:  # unseen by type checkers, which would otherwise let every misspelt name pass
    _HOMES = {
        "acdc.graphs.ablation": ("Ablation",),
        "acdc.graphs.circuit": ("Circuit",),
        "acdc.graphs.computation": ("ComputationalGraph",),
        "acdc.graphs.errors": ("GraphsError",),
        "acdc.graphs.execution.executor": ("Executor",),
        "acdc.graphs.model": ("Model", "load"),
        "acdc.graphs.nodes": ("Edge", "Node", "Receiver"),
        # without `render`: `graphs.drawing.render` is the module, and one name cannot be both
        "acdc.graphs.drawing.render": ("dot",),
    }

    def __getattr__(name: str) -> object:
        for home, offered in _HOMES.items():
            if name in offered:
                return getattr(import_module(home), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *(name for offered in _HOMES.values() for name in offered)})
