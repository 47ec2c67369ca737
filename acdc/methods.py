"""Every method there is: what it is called, what it does, where it is from, what its scores mean and what it takes.

Dispatch, help and what circuit files say derive from here. A new method is a class in `acdc.algorithms` and an entry,
and what it costs is said in `acdc.cost.work` and `acdc.cost.prediction`, which refuse a method they do not know; one
that prunes also joins `Pruning` in `acdc.discovery.pruning_runs`. A new setting of a method is also a field of
`acdc.settings.Method` and an option of `acdc discover`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

ScoreKind: TypeAlias = Literal["effect", "estimate", "node", "slot", "other"]
_WORTH = "how much worse the metric gets when the edge is removed, in its units; positive: the edge helps the behaviour"


@dataclass(frozen=True)
class Scores:
    """What the scores of a method's edges mean, and their sign.

    They are measured effects of removals, estimates of these that no removal measures, measured effects of removing
    more than the edge (one of its nodes, or all edges into its slot), or something else.
    """

    meaning: str
    kind: ScoreKind


_MEASURED = Scores(_WORTH, "effect")
_RANKED = Scores(
    f"estimate, by a modified gradient and measured by no removal, of {_WORTH}; a share of it where factors of a "
    "product share their gradient",
    "estimate",
)
_SIZED = Scores(
    "estimate, measured by no removal, of how much removing the edge changes the metric, in its units; never negative, "
    "so it does not tell help from harm",
    "estimate",
)
_ESTIMATED = Scores(f"estimate, to first order and measured by no removal, of {_WORTH}", "estimate")
_REMOVED = "how much worse the metric gets, in its units, when"
LEVELS: Mapping[str, Scores] = MappingProxyType(
    {
        "node": Scores(
            f"{_REMOVED} the lesser of the two nodes that the edge joins is removed with all its edges; what the edge "
            "alone does is not measured",
            "node",
        ),
        "slot": Scores(
            f"{_REMOVED} all edges into the same query, key or value input are removed, or, of an edge into an MLP or "
            "the logits, the lesser of its two nodes; what the edge alone does is not measured",
            "slot",
        ),
        "edge": _MEASURED,
    }
)
"""What the scores mean of a method that ends at such a level."""


@dataclass(frozen=True)
class AlgorithmClass:
    """The class that a method is, as "module:Class" of `acdc.algorithms`, and what it is always made with.

    One that `prunes` is made with a threshold before its settings, and decides by measured removals what stays; others
    score all edges.
    """

    name: str
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    prunes: bool = False

    def build(self, *leading: Any, **settings: Any) -> Any:
        """The algorithm with these settings."""
        return resolve_name(f"acdc.algorithms.{self.name}")(*leading, **self.fixed, **settings)


@dataclass(frozen=True)
class MethodEntry:
    """A method: what it is made of, a line of help, its source, what its scores mean, and its other names.

    `takes` are the settings it looks at: those of `acdc.settings.Method`, and `seed`. For those that score, `select`
    and `refine` are the search's.
    """

    algorithm: AlgorithmClass
    help: str
    source: str = ""
    scores: Scores = _MEASURED
    takes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def prunes(self) -> bool:
        """Whether it decides edge by edge what stays, instead of scoring all of them."""
        return self.algorithm.prunes


METHODS: Mapping[str, MethodEntry] = MappingProxyType(
    {
        "acdc": MethodEntry(
            AlgorithmClass("greedy:GreedyPruning", prunes=True),
            "greedy, every removal measured",
            "Conmy et al. 2023",
            takes=("refine", "max_bytes"),
        ),
        "eap+acdc": MethodEntry(
            AlgorithmClass("grouped:GroupedPruning", prunes=True),
            "groups that eap ranks lowest, removals measured",
            takes=("refine", "steps", "max_bytes"),
        ),
        "shortlist": MethodEntry(
            AlgorithmClass("shortlist:ShortlistPruning", prunes=True),
            "greedy among the edges that eap-ig ranks highest",
            takes=("refine", "steps", "max_bytes"),
        ),
        "coarse": MethodEntry(
            AlgorithmClass("coarse_to_fine:CoarseToFine", prunes=True),
            "layers, nodes, inputs, then edges; see --level",
            takes=("refine", "level", "steps", "max_bytes"),
        ),
        "eap": MethodEntry(
            AlgorithmClass("attribution:Attribution"),
            "effects estimated by one gradient",
            "Syed et al. 2023",
            _ESTIMATED,
            takes=("refine", "select"),
        ),
        "eap-ig": MethodEntry(
            AlgorithmClass("attribution:IntegratedGradients", {"path": "inputs"}),
            "the same, averaged over inputs",
            "Hanna et al. 2024",
            _ESTIMATED,
            takes=("refine", "select", "steps"),
            aliases=("eap-ig-inputs",),
        ),
        "eap-ig-activations": MethodEntry(
            AlgorithmClass("attribution:IntegratedGradients", {"path": "activations"}),
            "the same, layer by layer; slower",
            "Hanna et al. 2024",
            _ESTIMATED,
            takes=("refine", "select", "steps"),
        ),
        "relp": MethodEntry(
            AlgorithmClass("modified_gradients:RelevancePatching"),
            "eap, relevance for gradients",
            "Jafari et al. 2025",
            _RANKED,
            takes=("refine", "select"),
        ),
        "gim": MethodEntry(
            AlgorithmClass("modified_gradients:GradientInteraction"),
            "eap, factors share gradients",
            "Edin et al. 2025",
            _RANKED,
            takes=("refine", "select"),
        ),
        "atp-star": MethodEntry(
            AlgorithmClass("attribution_star:AttributionStar"),
            "eap past saturated softmaxes",
            "Kramar et al. 2024",
            _SIZED,
            takes=("refine", "select"),
            aliases=("atp*",),
        ),
        "average": MethodEntry(
            AlgorithmClass("averaged:AveragedAttribution"),
            "mean of eap-ig, relp and gim",
            "Mondorf et al. 2025",
            Scores(
                "the mean of the edge's shares in the absolute scores of all edges by eap-ig, relp and gim; positive: "
                "the edge helps the behaviour; measured by no removal",
                "other",
            ),
            takes=("refine", "select", "steps"),
        ),
        "eap-ig-stable": MethodEntry(
            AlgorithmClass("stable_signs:StableSigns"),
            "eap-ig where signs are stable",
            "Nikankin et al. 2025",
            Scores(f"{_ESTIMATED.meaning}; 0 where its sign hangs on which prompts were drawn", "estimate"),
            takes=("refine", "select", "steps", "seed"),
        ),
        "exact": MethodEntry(
            AlgorithmClass("exact:ExactPatching"),
            "the exact effect of each edge alone; slowest",
            takes=("refine", "select", "max_bytes"),
            aliases=("path-patching",),
        ),
        "exact-redundant": MethodEntry(
            AlgorithmClass("redundant_patching:RedundantPatching"),
            "exact, also with another edge gone; slow",
            scores=Scores(f"{_WORTH}, alone or where one other edge is gone already, whichever is more", "effect"),
            takes=("refine", "select", "max_bytes"),
        ),
        "hisp": MethodEntry(
            AlgorithmClass("importance:HeadImportance"),
            "head importance: node estimates",
            "Michel et al. 2019",
            Scores(
                "estimate, to first order and measured by no removal, of how much ablating the lesser of its two nodes "
                "changes the metric, in its units; never negative, so it does not tell help from harm",
                "estimate",
            ),
            takes=("refine", "select"),
        ),
        "masks": MethodEntry(
            AlgorithmClass("learned_masks:LearnedMasks"),
            "masks learned at a rising price",
            "Bhaskar et al. 2024",
            Scores(
                "the price, in the metric's units, at which learning closed the edge beside all that were open then, "
                "the highest dealt out anew in the order in which another training or elimination left them, and below "
                "the first price by attribution; not what removing it costs",
                "other",
            ),
            takes=("refine", "select", "seed", "max_bytes"),
        ),
        "information-flow": MethodEntry(
            AlgorithmClass("information_flow:InformationFlow"),
            "shares in what is read",
            "Ferrando and Voita 2024",
            Scores(
                "the sender's share in what the receiver reads, from 0 to 1; it knows nothing of the behaviour", "other"
            ),
            takes=("refine", "select"),
        ),
        "random": MethodEntry(
            AlgorithmClass("random_scores:Chance"),
            "scores by chance, to compare with",
            scores=Scores("drawn by chance from 0 to 1", "other"),
            takes=("refine", "select", "seed"),
        ),
    }
)
PRUNING = tuple(name for name, entry in METHODS.items() if entry.prunes)
SCORING = tuple(name for name, entry in METHODS.items() if not entry.prunes)


def method_name(name: str) -> str | None:
    """The own name of the method of this name or alias; None where there is none."""
    return next((own for own, entry in METHODS.items() if name == own or name in entry.aliases), None)


def taking(setting: str) -> tuple[str, ...]:
    """The methods that look at a setting."""
    return tuple(name for name, entry in METHODS.items() if setting in entry.takes)
