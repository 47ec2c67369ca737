"""`acdc pin`: a counterexample that an attack found becomes a claim that fails until the circuit is repaired."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from acdc.attacks.case import BOUND
from acdc.cli import options as given
from acdc.cli import terminal
from acdc.cli.named_file import check, writing
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import GraphsError
from acdc.graphs.files import write_atomically

if TYPE_CHECKING:
    from acdc.attacks.file import RecordedAttack
    from acdc.hypotheses.hypothesis import Listed


def pin(
    attack: given.AttackPath,
    file: given.HypothesisPath,
    case: given.CaseNumber = 1,
    anyway: given.PinAnyway = False,
    at_most: given.AtMostKL = None,
) -> None:
    """Claim that a circuit does right what an attack found it doing wrong.

    The prompt joins the claim `counterexamples` of a hypothesis file, which is otherwise left as it is: on the worst of
    its prompts, the KL divergence from the model to the circuit is bounded.
    """
    from acdc.attacks.file import RecordedAttack
    from acdc.hypotheses.pinning import pinned, started
    from acdc.hypotheses.reading import NAMES, load

    if not file.match(NAMES):
        raise BadSetting(f"a hypothesis file is known by its name: got {file.name!r}, wanted {NAMES}; rename it")
    check(file, (".yaml",))
    if at_most is not None and not 0 <= at_most < float("inf"):
        raise BadSetting(f"--at-most is {at_most:g}; wanted a bound on a KL divergence, in nats, such as 0.5")
    found = RecordedAttack.load(attack / "attack.json" if attack.is_dir() else attack)
    if not found.worst:
        raise BadSetting(f"{attack} holds no case to pin: the model was right on nothing that was tried")
    if not 1 <= case <= len(found.worst):
        raise BadSetting(f"--case is {case}; wanted 1 to {len(found.worst)}, the cases in {attack}")
    worst = found.worst[case - 1]
    bound: float | None = BOUND if at_most is None else at_most
    before = b""
    if file.exists():
        claimed = load(file)
        _require_fit(claimed.subject.task.name, claimed.subject.setup.ablation, found, file)
        _require_attacked(claimed.circuit, file, found, anyway=anyway)
        there = next((claim for claim in claimed.claims if claim.kind == "counterexamples"), None)
        before = file.read_bytes()
        text = before.decode("utf-8-sig")
        if there is None:
            at_most = bound
        elif at_most is None:
            bound = there.bound.high
        after = pinned(text, worst.pair, at_most)
    else:
        assert bound is not None
        attacked = Circuit.load(found.circuit.file)
        _require_attacked(attacked, found.circuit.file, found, anyway=anyway)
        after = started(found, worst.pair, bound, file.absolute().parent, attacked.roles)
    if after.encode() != before:
        with writing(file):
            write_atomically(file, after.encode())
    _tell(case, worst.kl, file, bound, changed=after.encode() != before)


def _tell(case: int, kl: float, file: Path, bound: float | None, *, changed: bool) -> None:
    """Say what was pinned and what is claimed of it (None: what the file says)."""
    out = terminal.results()
    what = f"case {case} (KL {kl:.3g})"
    if not changed:
        out.print(f"{file} has {what} already; nothing was changed", soft_wrap=True)
        return
    claim = f"at most {bound:.3g} is claimed" if bound is not None else "its bound is the file's"
    if bound is not None:  # the file's circuit may be another one
        claim += f", which the attacked circuit {'fails' if kl > bound else 'keeps to'}"
    out.print(f"Pinned {what} in {file}: {claim}", soft_wrap=True)
    out.print(f"Next: acdc test {terminal.quoted(file)}", soft_wrap=True)


def _require_fit(task: str, ablation: object, found: RecordedAttack, file: Path) -> None:
    """Refuse a file in which the case would be measured otherwise than it was found."""
    named = found.origin.task.name if found.origin.task else ""
    for what, theirs, ours in (("task", task, named), ("ablation", ablation, found.setup.ablation)):
        if theirs != ours:
            words = [str(getattr(one, "value", one)) for one in (theirs, ours)]
            raise BadSetting(
                f"the case does not fit {file}: its {what} is {words[0]}, the attack's is {words[1]}; "
                "name another file, or one that is not there yet"
            )


def _require_attacked(circuit: Circuit | Listed, where: Path, found: RecordedAttack, *, anyway: bool) -> None:
    """Refuse a circuit that is not the attacked one, unless it is wanted `anyway`; tell where that cannot be known."""
    from acdc.attacks.file import circuit_hash

    try:
        if not isinstance(circuit, Circuit):  # names, which stand for edges of the attacked circuit's graph
            circuit = circuit.circuit_in(Circuit.load(found.circuit.file).graph)
    except GraphsError:
        pass
    if isinstance(circuit, Circuit) and circuit.graph.spans:
        raise BadSetting(
            f"the circuit in {where} has edges by position, and the prompts of a hypothesis file do not say where the "
            "slots are; pin cases of circuits without spans (acdc discover --positions none)"
        )
    if not isinstance(circuit, Circuit) or not found.circuit.hash:
        terminal.note(f"whether the circuit in {where} is the one that was attacked cannot be checked")
    elif circuit_hash(circuit) != found.circuit.hash:
        what = f"the circuit in {where} is not the one that was attacked: their edges differ"
        if not anyway:
            raise BadSetting(f"{what}; attack it again, or pin the case all the same (--anyway)")
        terminal.note(what)
