"""Where attention, the residual stream and MLPs are split, algorithms score and prune what is there, by its name."""

from __future__ import annotations

import random

import pytest
import torch

from acdc.algorithms.attribution import Attribution, IntegratedGradients
from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.information_flow import InformationFlow
from acdc.algorithms.scores import AbstractScorer
from acdc.discovery.selection import Rule, Selection
from acdc.graphs.circuit import Circuit
from acdc.graphs.features.splitting import FeatureParts
from acdc.graphs.features.streams import AttentionFeatures, StreamFeatures
from acdc.judges.minimality import minimality
from acdc.judges.random_circuits import DRAWS, random_circuits
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence, LogitDifference
from tests.acdc.algorithms.naive_greedy import naive_greedy
from tests.acdc.algorithms.test_exact import assert_exact
from tests.acdc.algorithms.walks import ended
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Checkpoints
from tests.graphs.execution.test_splits import dictionary as of_mlp
from tests.graphs.execution.test_streams import dictionary

CHOSEN = [1, 4]


@pytest.fixture(params=[False, True], ids=["parts write", "parts read"])
def split(checkpoints: Checkpoints, request: pytest.FixtureRequest) -> Problem:
    """A model in which a0, r0mid, m0 and r0 are split, and MLPs' parts only write or read for themselves too."""
    whole = checkpoints.model("llama")
    attended, mid, post = (
        FeatureParts.of(whole, dictionary(whole, site, 0), CHOSEN) for site in ("attn_out", "resid_mid", "resid_post")
    )
    model = whole.split(
        {0: FeatureParts.of(whole, of_mlp(whole, 0), CHOSEN)},
        {0: AttentionFeatures.of(whole, attended)},
        {(0, "resid_mid"): StreamFeatures.of(whole, mid), (0, "resid_post"): StreamFeatures.of(whole, post)},
    )
    return Problem(model.parts_reading(request.param), behaviour(whole, (5, 6)), LogitDifference())
