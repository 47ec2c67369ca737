"""On Ray the same is found as here, to the last bit; a worker that dies is replaced, twice."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import acdc
from acdc.attacks.attack import attack
from acdc.attacks.plan import AttackPlan, SearchPlan
from acdc.bench.suite import Suite
from acdc.discovery.discover import prepare
from acdc.discovery.rediscover import Rediscovery, rediscover
from acdc.errors import BadSetting, ChangedSubject, NoCluster
from acdc.graphs.ablation import Ablation
from acdc.pieces.on_ray import OnRay, made_in_worker, place
from acdc.pieces.place import HERE
from acdc.progress import Progress
from acdc.provenance import installed
from acdc.settings import KeptFaithfulness
from tests.acdc.algorithms.walks import finished
from tests.acdc.discoveries import SETUP
from tests.acdc.pieces.in_workers import Squares
from tests.acdc.pieces.stand_in import FullDiskError, FullMemoryError, FullStoreError, LostError, StandIn, TaskError

pytestmark = pytest.mark.filterwarnings(  # of Ray itself
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)


@pytest.fixture
def there(ray: Any) -> OnRay:
    return OnRay(ray)


def test_pieces_come_in_their_order_and_each_worker_opens_the_work_once(there: OnRay, tmp_path: Path) -> None:
    work = Squares(str(tmp_path))
    assert list(there.each(work, range(20, 40))) == list(HERE.each(work, range(20, 40)))
    opened = (tmp_path / "opened").read_text().split()
    assert len(set(opened)) == len(opened) <= there.at_once(work) + 1, "and this process once"


def test_what_nobody_waits_for_is_not_made(there: OnRay, tmp_path: Path) -> None:
    made = there.each(Squares(str(tmp_path)), iter(range(20, 10**6)))
    assert list(islice(made, 3)) == [400, 441, 484]
    made.close()  # type: ignore[attr-defined]
    assert len(list(tmp_path.glob("begun-*"))) < 20


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (LostError("gone"), r"cannot be made: the worker that made it died 3 times \(gone\)"),
        (FullMemoryError(), "cannot be made: memory ran out on the worker, 3 times"),
        (FullStoreError(), "cannot be made: the object store of the Ray cluster is full, 3 times; make room"),
        (TaskError(FullDiskError()), "cannot be made: a disk of the Ray cluster is full, 3 times; make room"),
        (ConnectionError("broken"), "the Ray cluster is gone: broken; run the same again"),
    ],
)
def test_what_no_worker_can_make_is_told(error: Exception, message: str) -> None:
    stand_in = StandIn(error)
    with pytest.raises(NoCluster, match=message):
        list(OnRay(stand_in).each(Squares("nowhere"), [2]))
    assert stand_in.given == (1 if isinstance(error, ConnectionError) else 3)
    assert stand_in.needs["num_cpus"] == torch.get_num_threads()


def test_a_store_without_room_for_the_work_itself_is_told() -> None:
    with pytest.raises(NoCluster, match="the object store of the Ray cluster is full, so that it cannot be given"):
        list(OnRay(StandIn(LostError(), full=True)).each(Squares("nowhere"), [2]))


def test_stability_is_the_same_there(there: OnRay, found: acdc.Result) -> None:
    told: list[list[Progress]] = [[], []]
    here, same = (
        rediscover(found.circuit, resamples=2, seeds=1, place=where, watch=told[number].append)
        for number, where in enumerate((HERE, there))
    )
    assert same == here
    assert told[1] == told[0], "down to the state to go on from"


def test_a_benchmark_is_the_same_there(there: OnRay, tmp_path: Path) -> None:
    suite = Suite(("eap", "acdc"), ("planted-chain",), 2, (Ablation.RESAMPLE,), prompts=4, thresholds=2)
    here, same = (finished(suite.run(tmp_path / name, where))[0] for name, where in (("a", HERE), ("b", there)))
    assert [{**one, "seconds": 0} for one in same] == [{**one, "seconds": 0} for one in here]


def test_an_attack_in_shards_is_the_same_there(there: OnRay, found: acdc.Result) -> None:
    plan = AttackPlan(search=SearchPlan(24, 3), parts=("search",))
    task, model = acdc.get_task("periodic"), acdc.load_model("periodic-2l")
    here, same = (attack(task, model, found.circuit, SETUP, plan, place=where).to_json() for where in (HERE, there))
    assert here["search"]["tested"] == 24
    for one in (here, same):
        del one["timings"]
    assert json.dumps(same) == json.dumps(here)


def test_a_sweep_over_thresholds_is_the_same_there(there: OnRay) -> None:
    ready = prepare("periodic", goal=KeptFaithfulness(0.8), setup=SETUP)
    stages: list[str] = []
    here, same = ready.run(), ready.run(place=there, watch=lambda progress: stages.append(progress.stage))
    assert json.dumps(same.circuit.to_json()) == json.dumps(here.circuit.to_json())
    assert same.curve == here.curve
    assert same.joining == here.joining
    assert len({stage for stage in stages if stage.startswith("run ")}) >= len(here.curve)


def test_what_workers_find_otherwise_is_refused(tmp_path: Path) -> None:
    work = Squares(str(tmp_path))
    with pytest.raises(NoCluster, match=r"torch .*, not 1\.0: it would find other numbers"):
        made_in_worker("key", work, 2, 1, {**installed(), "torch": "1.0"})
    ready = prepare("periodic", goal=KeptFaithfulness(0.8), setup=SETUP)
    runs = ready._elsewhere(OnRay(None))
    assert runs is not None
    model = {**runs.work.measurement["model"], "weights": "sha256:0"}  # type: ignore[attr-defined]
    changed = replace(runs.work, measurement={**runs.work.measurement, "model": model})  # type: ignore[attr-defined,type-var]
    with pytest.raises(ChangedSubject, match=r"^model on .* are not those of the command itself"):
        changed.opened()


def test_what_has_no_name_cannot_go_elsewhere(found: acdc.Result) -> None:
    model = acdc.load_model("periodic-2l")
    unnamed = replace(model, identity=replace(model.identity, name="mine"))
    with pytest.raises(BadSetting, match="the model made in Python cannot be found by a cluster's workers"):
        list(Rediscovery(1, 0, model=unnamed, anyway=True).walk(found.circuit, place=OnRay(None)))


def test_work_that_no_machine_has_room_for_is_refused() -> None:
    small = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": {"CPU": 0.5}}])
    with pytest.raises(NoCluster, match="no machine of the Ray cluster has room for a piece of this work, which takes"):
        OnRay(small).at_once(Squares("nowhere"))
    with pytest.raises(NoCluster, match="1 CPUs and 1 GPUs"):
        OnRay(small).at_once(Squares("nowhere", "cuda"))


def test_local_is_here() -> None:
    with place("local") as where:
        assert where is HERE


def test_a_worker_that_dies_is_replaced_and_an_error_is_what_it_would_be_here(there: OnRay, tmp_path: Path) -> None:
    work = Squares(str(tmp_path))
    assert list(there.each(work, [1, 2])) == [1, 4]
    assert (tmp_path / "begun-1").read_text() == "xx"
    with pytest.raises(ValueError, match="7 is refused"):
        list(there.each(work, [6, 7]))
