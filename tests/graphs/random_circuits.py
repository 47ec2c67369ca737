"""What the oracles are asked about: three prompt pairs scored at different positions, and circuits drawn at random."""

from __future__ import annotations

import random

import torch

CLEAN = torch.tensor([[20, 25, 30, 35, 40, 45, 50], [21, 22, 23, 24, 25, 26, 27], [50, 31, 50, 31, 50, 31, 50]])
CORRUPT = torch.tensor([[24, 25, 31, 35, 44, 45, 51], [41, 42, 43, 44, 45, 46, 47], [52, 33, 20, 36, 50, 22, 50]])
POSITIONS = torch.tensor([6, 3, 5])
ROWS = torch.arange(3)


def random_circuits(edges: list[str], count: int, seed: int = 0) -> list[set[str]]:
    """Circuits by the names of their edges, each of its own density between 0.1 and 0.95."""
    draw = random.Random(seed)
    densities = [draw.uniform(0.1, 0.95) for _ in range(count)]
    return [{edge for edge in edges if draw.random() < density} for density in densities]
