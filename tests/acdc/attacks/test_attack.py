"""An attack joins its parts, tells what it was run with, and gives the same again."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import acdc
from acdc.attacks.attack import _Attacked, _AttackRun, _State, attack
from acdc.attacks.found import Attack, AttackFindings
from acdc.attacks.plan import PARTS, AttackPlan, Part, SearchPlan
from acdc.attacks.search import search
from acdc.attacks.search_shards import SearchShards
from acdc.errors import BadCheckpoint, BadSetting, NotFinite
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import BadTokens
from acdc.graphs.model import Model
from acdc.judges.necessity import necessity
from acdc.models import load_named
from acdc.pieces.place import HERE
from acdc.problems import problems
from acdc.progress import Progress
from acdc.settings import Setup
from acdc.tasks.errors import BadPrompts
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.task import About, Task
from acdc.tasks.token_prompts import TokenPrompts
from tests.acdc.attacks import an_attack
from tests.acdc.attacks.an_attack import CIRCUIT, case

GOLDEN = Path(__file__).with_name("golden_attack.json")
EDGES = ("input->a1.h0<q>", "a0.h2->a1.h0<k>", "a0.h0->a1.h0<v>", "a1.h0->logits")
SETUP = Setup(prompts=6, seed=3)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_named("periodic-2l", SETUP)


@pytest.fixture(scope="module")
def circuit(model: Model) -> Circuit:
    return Circuit.from_names(model.graph, EDGES)


def tried(model: Model, circuit: Circuit, *parts: Part, setup: Setup = SETUP, crossed: int | None = None) -> Attack:
    plan = AttackPlan(1, SearchPlan(20), crossed, 6, 1, parts)
    return attack(acdc.get_task("periodic"), model, circuit, setup, plan)


def test_the_json_is_the_golden_file() -> None:
    assert json.dumps(an_attack.attack().to_json(), indent=1) + "\n" == GOLDEN.read_text("utf-8")


def test_the_worst_cases_are_of_all_parts_each_once_where_the_model_is_right() -> None:
    assert [(one.pair.clean, one.kl) for one in an_attack.found().worst] == [("A B A B A", 4.5), ("C D C D C", 0.25)]
    right, wrong = case("A", 1.0, "search"), case("B", 2.0, "search", model_right=False)
    found = AttackFindings(search=replace(an_attack.attack().found.search, cases=(wrong, right)))
    assert found.worst == (right,)
    assert AttackFindings().worst == ()


def test_a_repaired_circuit_has_all_edges_of_repairs_and_only_those() -> None:
    repaired = an_attack.attack().repaired
    assert {edge.name for edge in (repaired - CIRCUIT).edges} == {"a0.h1->logits", "input->a0.h1<v>"}
    failed = replace(an_attack.found(), diagnosis=an_attack.found().diagnosis[1:])
    assert replace(an_attack.attack(), found=failed).repaired == CIRCUIT


def test_each_part_is_what_it_is_alone_and_what_was_not_asked_for_is_not_there(model: Model, circuit: Circuit) -> None:
    found = tried(model, circuit, "search", "diagnosis", "necessity").found
    task = acdc.get_task("periodic")
    _, judgement = problems(task, model, SETUP)
    assert found.necessity == necessity(judgement, circuit, 1)
    alone = search(task, model, circuit, SETUP, budget=20, seed=1)
    assert found.search is not None
    assert found.search.cases == alone.cases
    assert found.diagnosis is not None
    [diagnosed] = found.diagnosis
    assert diagnosed.case.pair == found.worst[0].pair
    assert diagnosed.case.kl == pytest.approx(found.worst[0].kl, abs=1e-4)
    assert (found.variations, found.crossing, found.specificity) == (None, None, None)


@pytest.mark.parametrize("crossed", [None, 3, 9])
def test_as_many_prompts_are_crossed_as_asked_for_and_none_of_those_to_find_it_with(
    model: Model, circuit: Circuit, crossed: int | None
) -> None:
    discovery, judgement = problems(acdc.get_task("periodic"), model, SETUP)
    found = tried(model, circuit, "crossing", crossed=crossed).found.crossing
    assert found is not None
    assert found.prompts == (crossed or len(judgement.pairs))
    seen = {pair.clean for pair in discovery.pairs.texts()}
    assert not seen & {one.pair.clean for one in found.worst}


def test_what_cannot_be_tried_is_skipped_and_told_why(model: Model, circuit: Circuit) -> None:
    task = acdc.get_task("periodic")
    assert isinstance(task.prompts, TemplatePrompts)
    unknown = replace(task, prompts=replace(task.prompts, slots=None))
    tried = attack(
        unknown, model, circuit, replace(SETUP, ablation="zero"), AttackPlan(parts=("crossing", "search", "diagnosis"))
    )
    assert tried.found == AttackFindings()
    assert list(tried.left_out.skipped) == ["crossing", "search", "diagnosis"]
    assert tried.left_out.skipped["search"].startswith("nothing is known of what may fill the slots")
    assert tried.seconds == {}


QUICK = AttackPlan(1, SearchPlan(8), 3, 6, 1, ("crossing", "search", "diagnosis", "necessity"))


def timeless(attack: Attack) -> dict[str, Any]:
    """All of an attack but the time it took."""
    data = attack.to_json()
    del data["timings"]
    return data


@pytest.fixture(scope="module")
def whole(model: Model, circuit: Circuit) -> Attack:
    return attack(acdc.get_task("periodic"), model, circuit, SETUP, QUICK)


def resumed(model: Model, circuit: Circuit, checkpoint: Path, plan: AttackPlan = QUICK) -> Attack:
    task = acdc.get_task("periodic")
    return attack(task, model, circuit, SETUP, plan, checkpoint=checkpoint, resume=True)


@pytest.mark.parametrize("until", ["crossing", "diagnosis"])
def test_an_attack_that_is_interrupted_goes_on_to_the_same_and_tries_nothing_twice(
    model: Model, circuit: Circuit, whole: Attack, until: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "attack.checkpoint.json"

    def interrupt(progress: Progress) -> None:
        if progress.stage == until and progress.done == progress.total:
            raise KeyboardInterrupt

    task = acdc.get_task("periodic")
    with pytest.raises(KeyboardInterrupt):
        attack(task, model, circuit, SETUP, QUICK, checkpoint=checkpoint, watch=interrupt)
    done = QUICK.parts[: QUICK.parts.index(until) + 1]
    for part in done:
        where = "search_shards" if part == "search" else "attack"
        monkeypatch.setattr(f"acdc.attacks.{where}.{part}", never)
    assert timeless(resumed(model, circuit, checkpoint)) == timeless(whole)


def never(*_: object, **__: object) -> None:
    raise AssertionError("the part had been done")


@pytest.mark.parametrize(
    "error",
    [NotFinite("KL is nan"), RuntimeError("can't allocate memory")],
    ids=lambda error: type(error).__name__,
)
def test_a_part_that_fails_is_left_out_with_its_reason_and_the_others_go_on(
    model: Model, circuit: Circuit, whole: Attack, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "attack.checkpoint.json"

    def failing(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("acdc.attacks.search_shards.search", failing)
        tried = attack(acdc.get_task("periodic"), model, circuit, SETUP, QUICK, checkpoint=checkpoint)
    assert tried.left_out.failed == {"search": error}
    assert tried.to_json()["failed"] == {"search": str(error)}
    assert tried.found.search is None
    assert (tried.found.crossing, tried.found.necessity) == (whole.found.crossing, whole.found.necessity)
    monkeypatch.setattr("acdc.attacks.attack.crossing", never)
    assert timeless(resumed(model, circuit, checkpoint)) == timeless(whole)  # its diagnosis is of the search's cases


@pytest.mark.parametrize(
    ("error", "is_not"),
    [
        (BadTokens("too long"), True),
        (BadPrompts(), True),
        (MemoryError(), True),
        (torch.OutOfMemoryError(), True),
        (RuntimeError("shapes"), False),
        (IndexError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fault_of_ours_is_not_kept_quiet(
    model: Model, circuit: Circuit, error: Exception, is_not: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr("acdc.attacks.attack.necessity", failing)
    _, judgement = problems(acdc.get_task("periodic"), model, SETUP)
    state = _State(AttackFindings(search=an_attack.found().search), {}, {})
    task, plan = acdc.get_task("periodic"), AttackPlan(parts=("necessity",))
    shards = SearchShards(task, model, circuit, SETUP, plan)
    run = _AttackRun(_Attacked(task, circuit, SETUP, plan), judgement, shards, HERE, lambda progress: None)
    with nullcontext() if is_not else pytest.raises(type(error)):
        _, left_out, _ = run.all(state, None)
        assert left_out.failed == {"necessity": error}


def test_where_every_part_fails_there_is_no_attack(
    model: Model, circuit: Circuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise NotFinite("all is nan")

    monkeypatch.setattr("acdc.attacks.attack.necessity", failing)
    with pytest.raises(NotFinite, match="all is nan"):
        tried(model, circuit, "necessity")


def test_another_attack_does_not_go_on_from_it_nor_from_what_is_damaged(
    model: Model, circuit: Circuit, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "attack.checkpoint.json"
    plan = AttackPlan(parts=("necessity",))
    with pytest.raises(BadCheckpoint, match="there is nothing to resume"):
        resumed(model, circuit, checkpoint, plan)
    task = acdc.get_task("periodic")
    kept = attack(task, model, circuit, SETUP, plan, checkpoint=checkpoint)
    assert timeless(resumed(model, circuit, checkpoint, plan)) == timeless(kept)
    with pytest.raises(BadCheckpoint, match=r"plan was .*'seed': 0.* is now .*'seed': 5"):
        resumed(model, circuit, checkpoint, replace(plan, seed=5))
    with pytest.raises(BadCheckpoint, match="circuit was"):
        resumed(model, ~circuit, checkpoint, plan)
    data = json.loads(checkpoint.read_text())
    data["state"]["found"]["necessity"] = {"kept": "much"}
    checkpoint.write_text(json.dumps(data))
    with pytest.raises(BadCheckpoint, match="is damaged; delete it and start anew"):
        resumed(model, circuit, checkpoint, plan)


def test_what_was_found_is_read_back_as_it_was() -> None:
    assert AttackFindings.from_state(json.loads(json.dumps(an_attack.found().state()))) == an_attack.found()
    assert AttackFindings.from_state(json.loads(json.dumps(AttackFindings().state()))) == AttackFindings()


def test_every_part_says_when_it_begins_and_ends(
    model: Model, circuit: Circuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acdc.tasks.names", lambda: ("periodic",))
    told: list[Progress] = []
    attack(acdc.get_task("periodic"), model, circuit, SETUP, AttackPlan(0, SearchPlan(20), 3, 6, 1), watch=told.append)
    assert tuple(dict.fromkeys(one.stage for one in told)) == PARTS
    assert [one.stage for one in told if one.done == one.total] == list(PARTS)


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"crossed": 1}, {"prompts": 1}, {"diagnosed": -1}])
def test_a_plan_of_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BadSetting, match="wanted at least"):
        AttackPlan(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ((0,), "the budget of the search is 0; wanted at least 1"),
        ((10, 0), "the number of shards of the search is 0; wanted at least 1"),
        ((10, 11), "the number of shards of the search is 11; wanted at most 10"),
    ],
)
def test_a_search_of_nothing_is_refused(wrong: tuple[int, ...], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        SearchPlan(*wrong)


def test_shards_share_the_budget_and_the_worst_of_all_is_what_is_told(model: Model, circuit: Circuit) -> None:
    assert SearchPlan(10, 3).parts() == (3, 3, 4)
    plan = AttackPlan(1, SearchPlan(20, 2), parts=("search",))
    assert plan.to_json()["shards"] == 2
    task = acdc.get_task("periodic")
    both = attack(task, model, circuit, SETUP, plan).found.search
    alone = [search(task, model, circuit, SETUP, budget=10, seed=1, shard=shard) for shard in (0, 1)]
    assert both is not None
    assert alone[0].cases != alone[1].cases
    assert alone[0] == replace(search(task, model, circuit, SETUP, budget=10, seed=1), seconds=alone[0].seconds)
    assert both.tested == 20
    assert both.failures == sum(one.failures for one in alone)
    assert set(both.cases) <= {case for one in alone for case in one.cases}
    assert both.cases[0].kl == pytest.approx(max(one.cases[0].kl for one in alone), abs=1e-4)
    pairs = [(case.pair.clean, case.pair.corrupt) for case in both.cases]
    assert len(set(pairs)) == len(pairs)


def of_ids(model: Model, *, several: bool = False) -> Task:
    """The behaviour in token ids: no text, and with `several` a second scored position."""
    pairs = acdc.get_task("periodic").build(model.tokenizer, 6, 3).judgement.pairs
    columns = {name: [getattr(pair, name) for pair in pairs] for name in ("clean", "corrupt", "answers", "distractors")}
    positions: list[Any] = [pair.position for pair in pairs]
    if several:
        positions = [[position - 1, position] for position in positions]
        columns |= {name: [[ids, ids] for ids in columns[name]] for name in ("answers", "distractors")}
    return Task("ids", About("As token ids."), "none", "logit_difference", TokenPrompts(**columns, positions=positions))


def test_a_model_without_a_tokenizer_is_attacked_with_all_that_needs_no_text(model: Model, circuit: Circuit) -> None:
    mute = replace(model, tokenizer=None)
    tried = acdc.attack(circuit, task=of_ids(model), model=mute, setup=SETUP, plan=replace(QUICK, parts=PARTS))
    assert tried.left_out.failed == {}
    assert set(tried.left_out.skipped) == {"search"}
    found = tried.found
    assert found.crossing is not None
    assert found.necessity is not None
    assert found.variations is not None
    assert [one.name for one in found.variations] == ["standard"]
    assert found.variations[0].measured is not None
    assert found.variations[0].measured.kept is not None
    assert found.diagnosis is not None
    assert found.diagnosis[0].case.kl == pytest.approx(found.worst[0].kl, abs=1e-4)
    assert found.specificity is not None
    assert {one.verdict for one in found.specificity} == {"not expressible"}
    words = replace(acdc.get_task("periodic"), prompts=of_ids(model).prompts)
    varied = acdc.attack(
        circuit, task=words, model=mute, setup=SETUP, plan=AttackPlan(parts=("variations",))
    ).found.variations
    assert varied is not None
    assert {one.verdict for one in varied[1:]} == {"not expressible"}


def test_prompts_that_are_scored_at_several_positions_are_neither_crossed_nor_repaired(
    model: Model, circuit: Circuit
) -> None:
    mute, task = replace(model, tokenizer=None), of_ids(model, several=True)
    plan = replace(QUICK, parts=("variations", "crossing", "diagnosis"))
    tried = acdc.attack(circuit, task=task, model=mute, setup=SETUP, plan=plan)
    assert set(tried.left_out.skipped) >= {"crossing"}
    assert tried.left_out.failed == {}
