"""Results as `acdc bench` keeps them, made up."""

from __future__ import annotations

from typing import Any

from acdc.bench.size_curve import SHARES


def result(
    *,
    model: str = "toy",
    seed: int = 0,
    ablation: str = "resample",
    method: str = "eap-ig-activations",
    auc: float = 1.0,
    cpr: float = 1.0,
    nodes: bool = True,
    refused: str | None = None,
) -> dict[str, Any]:
    """One cell's result; the truth is that of resample ablation."""
    settings = {"model": model, "seed": seed, "ablation": ablation, "method": {"name": method}}
    truth = {"edges": 6, "of_edges": 110, "made_under": "resample"}
    if refused is not None:
        return {"settings": settings, "truth": truth, "refused": refused}
    perfect = {"pessimistic": 1.0, "plain": 1.0, "points": [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]}
    curve = [{"share": share, "edges": int(110 * share), "faithfulness": share * auc} for share in SHARES]
    points = [[0.0, 0.0], [0.0, auc], [1.0, auc], [1.0, 1.0]]
    return {
        "settings": settings,
        "truth": truth,
        "seconds": 1.5,
        "ground_truth": {
            "edges": {"pessimistic": auc, "plain": 0.4 + 0.6 * auc, "points": points},
            "nodes": perfect if nodes else None,
            "at_true_size": {"asked": 6, "edges": 4, "precision": 0.5, "recall": 0.25},
        },
        "faithfulness": {"cpr": cpr, "cmd": 0.07, "signed": curve, "absolute": curve},
    }
