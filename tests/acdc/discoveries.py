"""A discovery of a few seconds on a shipped model."""

from __future__ import annotations

import acdc
from acdc.settings import Setup, Threshold

SETUP = Setup(prompts=6, seed=3)


def periodic(setup: Setup = SETUP) -> acdc.Result:
    """One pruning run for the periodic behaviour, which leaves some tens of edges."""
    return acdc.discover("periodic", goal=Threshold(0.4), setup=setup)
