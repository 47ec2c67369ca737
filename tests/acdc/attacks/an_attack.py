"""An attack written down by hand: a circuit of three edges, and something of every part."""

from __future__ import annotations

from acdc.attacks.case import Case, Prediction
from acdc.attacks.crossing import Crossing
from acdc.attacks.diagnosis import Diagnosis, Restored
from acdc.attacks.found import Attack, AttackFindings, LeftOut
from acdc.attacks.pair_statistics import Distribution, Maximum, Percentile, SlotWord, Stratum
from acdc.attacks.plan import AttackPlan, SearchPlan
from acdc.attacks.search import Search
from acdc.attacks.specificity import OtherTask
from acdc.attacks.variations import KLSpread, VariationFigures, Varied
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.nodes import Edge
from acdc.judges.faithfulness import Interval
from acdc.judges.necessity import Necessity
from acdc.provenance import Provenance
from acdc.tasks.pairs import TextPair, Wording

CIRCUIT = Circuit.from_names(ComputationalGraph(1, 2, 8), ["input->a0.h0<v>", "a0.h0->logits", "input->m0"])
PAIR = TextPair("A B A B A", "P Q P Q P", (" B",), (" Q",), wording=Wording("plain", (("first", "A"), ("second", "B"))))
ORIGIN = Provenance.model_validate(
    {
        "model": {"name": "periodic-2l", "revision": None, "weights": "sha256:0", "dtype": "float32"},
        "task": {"name": "periodic", "about": "Goes on.", "source": "", "file": None},
        "prompts": {
            "count": 4,
            "seed": 3,
            "discovery": {"count": 4, "hash": "a"},
            "judgement": {"count": 4, "hash": "b"},
        },
        "ablation": "resample",
        "metric": {"name": "logit_difference", "meaning": "higher: more of it"},
        "versions": {"python": "3.11", "torch": None},
    }
)


def case(clean: str, kl: float, found_by: str, *, model_right: bool = True, circuit_right: bool = False) -> Case:
    """A case of another clean prompt."""
    pair = TextPair(clean, PAIR.corrupt, PAIR.answers, PAIR.distractors, PAIR.scoring, PAIR.wording)
    model = Prediction(" B" if model_right else " C", model_right)
    circuit = Prediction(" B" if circuit_right else " Q", circuit_right)
    return Case(pair, kl, model, circuit, found_by)


def found() -> AttackFindings:
    """Six parts, of which the search has the worst case."""
    worst, mild = case("A B A B A", 4.5, "search"), case("C D C D C", 0.25, "crossing", circuit_right=True)
    wrong = case("E F E F E", 9.0, "variation long", model_right=False)
    standard = VariationFigures(4, 1.0, 0.75, 0.75, KLSpread(0.1, 0.4, 0.5), (mild,))
    long = VariationFigures(4, 0.25, 0.0, 0.0, KLSpread(3.0, 8.9, 9.0), (wrong,))
    short = VariationFigures(4, 1.0, 0.0, 0.0, KLSpread(2.0, 4.4, 4.5), (worst,))
    edges = [Edge.parse(name) for name in ("a0.h1->logits", "input->a0.h1<v>")]
    return AttackFindings(
        (
            Varied("standard", "Own.", standard, None, "holds", "compared with"),
            Varied("long", "Longer.", long, None, "model's limit", "limit"),
            Varied("short", "Shorter.", short, 0.01, "breaks", "lost"),
            Varied("odd", "Odd.", None, None, "not expressible", "unknown words"),
        ),
        Crossing(
            4,
            16,
            Distribution(Interval(0.5, 0.25, 0.75), (Percentile(0.99, Interval(2.0, 1.0, 3.0)),), Maximum(3.0, 0.5)),
            (mild,),
            (Stratum(SlotWord("first", "A", "clean"), 8, 2, Interval(0.75, 0.5, 1.0), 2.5, 3.0),),
        ),
        Search((worst,), 3, 10, 2.0, 10, 7),
        (
            Diagnosis(worst, (Restored(edges[0], 2.5),), (Restored(edges[0], 2.5), Restored(edges[1], 0.5)), True),
            Diagnosis(mild, (), (), False),
        ),
        Necessity(Interval(0.125, 0.0, 0.25)),
        (
            OtherTask("induction", "measured", Interval(0.5, 0.25, 0.75), 1.0, 0.5),
            OtherTask("agreement", "model's limit", None, 0.25, 0.0, "the model is right on 25% of the prompts"),
            OtherTask("ioi", "not expressible", why="unknown words"),
        ),
    )


def attack() -> Attack:
    """The whole of it."""
    seconds = {"search": 2.0}
    return Attack(CIRCUIT, ORIGIN, AttackPlan(7, SearchPlan(10), 4, 4, 2), found(), LeftOut(), seconds)
