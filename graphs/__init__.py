"""The model as a graph, and circuits in it. Names are loaded when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphs.ablation import Ablation as Ablation
    from graphs.circuit import Circuit as Circuit
    from graphs.computation import ComputationalGraph as ComputationalGraph
    from graphs.drawing.render import dot as dot
    from graphs.errors import GraphsError as GraphsError
    from graphs.execution.executor import Executor as Executor
    from graphs.model import Model as Model
    from graphs.model import load as load
    from graphs.nodes import Edge as Edge
    from graphs.nodes import Node as Node
    from graphs.nodes import Receiver as Receiver
else:  # unseen by type checkers, which would otherwise let every misspelt name pass
    _HOMES = {
        "graphs.ablation": ("Ablation",),
        "graphs.circuit": ("Circuit",),
        "graphs.computation": ("ComputationalGraph",),
        "graphs.errors": ("GraphsError",),
        "graphs.execution.executor": ("Executor",),
        "graphs.model": ("Model", "load"),
        "graphs.nodes": ("Edge", "Node", "Receiver"),
        # without `render`: `graphs.drawing.render` is the module, and one name cannot be both
        "graphs.drawing.render": ("dot",),
    }

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for home, offered in _HOMES.items():
            if name in offered:
                return getattr(import_module(home), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *(name for offered in _HOMES.values() for name in offered)})
