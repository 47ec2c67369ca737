"""What a circuit's own record says it was found with, read back."""

from __future__ import annotations

from collections.abc import Callable

from acdc.settings import GOALS, Goal, Method, Setup
from graphs.circuit import Circuit
from graphs.errors import BadCircuitFile


def recorded_setup(circuit: Circuit) -> Setup:
    """The setup a circuit was discovered with, on the CPU.

    Raises: BadCircuitFile when the circuit's record does not hold one.
    """
    keys = (("metric", "name"), ("ablation",), ("prompts", "count"), ("prompts", "seed"), ("model", "dtype"))
    metric, ablation, prompts, seed, dtype = (str(recorded(circuit, *key)) for key in keys)
    try:
        return Setup(metric, ablation, int(prompts), int(seed), dtype=dtype, only_correct=_only_correct(circuit))
    except ValueError as error:
        raise BadCircuitFile(f"the circuit's record is damaged: {error}; discover the circuit again") from error


def _only_correct(circuit: Circuit) -> bool:
    """Whether a circuit was discovered on prompts that the model gets right only; older files do not say: on all."""
    prompts = circuit.provenance.get("prompts")
    return isinstance(prompts, dict) and prompts.get("only_correct") is True


def recorded_search(circuit: Circuit) -> tuple[Method, Goal]:
    """The method and the goal a circuit was discovered with.

    Raises: BadCircuitFile when the circuit's record does not hold them.
    """
    settings, asked = (recorded(circuit, "algorithm", key) for key in ("settings", "goal"))
    kinds: dict[str, Callable[..., Goal]] = dict(GOALS)
    try:
        goal, how = dict(asked), dict(settings)  # type: ignore[call-overload]  # what is no mapping is refused here
        return Method(**how), kinds[goal.pop("kind")](**goal)
    except (ValueError, TypeError, KeyError) as error:
        raise BadCircuitFile(f"the circuit's record is damaged: {error!r}; discover the circuit again") from error


def recorded(circuit: Circuit, *keys: str) -> object:
    """What a circuit's record holds under these keys.

    Raises: BadCircuitFile when it holds nothing there.
    """
    value: object = circuit.provenance
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise BadCircuitFile(
                f"the circuit's record lacks {'.'.join(keys)}, so it does not say what to measure it with; "
                "give --task and --model, and in Python a Setup"
            )
        value = value[key]
    return value
