"""Results as `acdc bench --frontier` keeps them, made up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acdc.bench.frontier import SIZES
from acdc.bench.frontier_cell import edges_for


def frontier_result(
    *,
    model: str = "toy",
    task: str = "ioi",
    metric: str = "kl",
    method: str = "masks",
    kept: Mapping[int, float] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One cell's result, of a graph of 2,000 edges; `kept` is the judged faithfulness by size, `more` stands in it."""
    settings = {"model": model, "task": task, "metric": metric, "method": {"name": method}, "sizes": list(SIZES)}
    if more.keys() & {"refused", "failed"}:
        return {"settings": settings, **more}
    points = [
        {
            "asked": size,
            "edges": size - 1,
            "found": {"value": value + 0.05},
            "judged": {"value": value, "low": value - 0.1, "high": value + 0.1, "kl": 1 - value, "accuracy": value / 2},
        }
        for size, value in ({10: 0.2, 100: 0.6, 300: 0.75} if kept is None else kept).items()
    ]
    return {
        "settings": settings,
        "seconds": 90.0,
        "cpu_seconds": 150.0,
        "peak_mb": 1234.4,
        "edges": {"of_graph": 2000, "named": 500},
        "prompts": {"found": 64, "judged": 64},
        "model_accuracy": 0.92,
        "points": points,
        "edges_for": {level: edges_for(float(level), points) for level in ("0.5", "0.7", "0.8", "0.9")},
        "shares": [],
        "cpr": None,
        "cmd": 0.125,
        **more,
    }
