"""What an attack found, in words and tables for people: the verdict first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from acdc.attacks.case import BOUND
from acdc.attacks.diagnosis import MOST, recurring
from acdc.attacks.variations import DROP, LEVEL, STANDARD
from acdc.report.columns import fact_table, plain_table

if TYPE_CHECKING:
    from acdc.attacks.case import Case
    from acdc.attacks.crossing import Crossing
    from acdc.attacks.diagnosis import Diagnosis
    from acdc.attacks.found import Attack
    from acdc.attacks.pair_statistics import Stratum
    from acdc.attacks.specificity import OtherTask
    from acdc.attacks.variations import Varied
    from acdc.judges.faithfulness import Interval

_STYLES = {"breaks": "bold red", "holds": "green", "model's limit": "dim", "not expressible": "dim"}
_SHOWN = 5
"""How many worst cases are shown, and how many of the worst words."""
_EDGES = 6
"""How many edges of a repair are named."""


def tables(attack: Attack, title: str) -> Iterator[RenderableType]:
    """The verdict, then each part of the attack that was run."""
    found = attack.found
    yield Text(title, style="bold")
    yield verdict(attack)
    if found.variations:
        yield _variations(found.variations)
    if found.crossing:
        yield _crossing(found.crossing)
    if found.worst:
        yield _cases(found.worst)
    if found.diagnosis:
        yield _diagnosis(found.diagnosis)
    if lines := _lines(attack):
        yield fact_table(lines)


def verdict(attack: Attack) -> Text:
    """In plain words: whether the circuit broke, on what, and how badly."""
    found, worst = attack.found, attack.found.worst
    failing = [case for case in worst if case.fails]
    text = Text()
    if failing:
        case = failing[0]
        text.append("The circuit can be broken", style="bold red")
        text.append(f": on some prompts the model is right and it is wrong. The worst was found {_where(case)} ")
        text.append(f"(KL {case.kl:.2f}).")
    elif worst:
        close = worst[0].kl <= BOUND
        what = "Nothing broke the circuit" if close else "The circuit loses no answer, but strays from the model"
        text.append(what, style="bold green" if close else "bold yellow")
        text.append(f": wherever the model was right, so was it; its worst KL was {worst[0].kl:.2f}.")
    else:
        text.append("Nothing was found", style="bold")
        text.append(": the model was right on none of the prompts that were tried.")
    if varied := found.variations or ():
        standard, broken = varied[0].measured, [one.name for one in varied[1:] if one.verdict == "breaks"]
        text.append(f" On its own prompts the KL is {standard.kl.max:.2f} at most." if standard else "")
        if standard and varied[0].verdict == "breaks":
            text.append(
                f"\nOf its own prompts, it does {_part(standard.kept)} of the {standard.model_right:,} that the model "
                "does right: a variation on which it holds is done no worse than these."
            )
        if broken:
            text.append(f"\nVariations that break it: {', '.join(broken)}.")
        if limits := [one.name for one in varied[1:] if one.verdict == "model's limit"]:
            text.append(f"\nThe model itself does not do, which says nothing of the circuit: {', '.join(limits)}.")
    return text


def _variations(varied: Sequence[Varied]) -> RenderableType:
    table = plain_table()
    table.add_column("variation", no_wrap=True)
    for name in ("model right", "circuit too", "KL p50", "p99", "max"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for one in varied:
        figures = ["-"] * 5
        if met := one.measured:
            figures = [_share(met.model_accuracy, met.count), _share(met.kept, met.model_right)]
            figures += [_number(value) for value in (met.kl.p50, met.kl.p99, met.kl.max)]
        table.add_row(one.name, *figures, Text(one.verdict, style=_STYLES[one.verdict]))
    legend = Text(
        "model right: on which part of the prompts the model is right; circuit too: on which part of those the circuit "
        "is right as well; KL(model || circuit) in nats, over all of them. A variation breaks the circuit where this "
        f"does {DROP:.0%} of them less than of the standard prompts, and that is not chance (p <= {LEVEL:g}).",
        style="dim",
    )
    return Group(Text("Variations: the same behaviour in other surfaces", style="bold"), table, legend)


def _crossing(crossed: Crossing) -> RenderableType:
    title = (
        f"Crossing: {crossed.prompts:,} clean with {crossed.prompts:,} corrupt prompts, {crossed.pairs:,} pairs of one "
        "length; KL in nats"
    )
    figures: dict[str, Interval] = {
        "mean": crossed.kl.mean,
        **{f"p{100 * one.q:g}": one.value for one in crossed.kl.percentiles},
    }
    table = plain_table(header=False)
    for name, interval in figures.items():
        table.add_row(name, _number(interval.value), f"95% CI {interval.low:.2f} to {interval.high:.2f}")
    table.add_row(
        "max",
        _number(crossed.kl.maximum.value),
        f"95% sure: at least {crossed.kl.maximum.passes:.1%} of all such pairs are below",
    )
    parts: list[RenderableType] = [Text(title, style="bold"), table]
    if crossed.strata:
        parts.append(_worst_words(crossed.strata))
    return Group(*parts)


def _worst_words(strata: Sequence[Stratum]) -> RenderableType:
    """The words on which the circuit is worst, by the lower end of the interval of their pairs' mean KL."""
    table = plain_table()
    for name in ("slot", "word", "of the"):
        table.add_column(name, no_wrap=True)
    for name in ("pairs", "mean", "95% CI", "p99", "max"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in strata[:_SHOWN]:
        where, mean = one.where, one.mean
        interval = f"{max(mean.low, 0.0):.2f} to {mean.high:.2f}"
        figures = (f"{one.count:,}", _number(mean.value), interval, _number(one.p99), _number(one.max))
        table.add_row(Text(where.slot), Text(where.word), f"{where.side} prompt", *figures)
    return Group(Text("The words on which the circuit is worst, by the mean KL of their pairs", style="bold"), table)


def _cases(worst: Sequence[Case]) -> RenderableType:
    shown = worst[:_SHOWN]
    table = plain_table(header=False)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for number, case in enumerate(shown, start=1):
        table.add_row(str(number), "prompt", Text(case.pair.clean))  # brackets in a prompt are no markup
        table.add_row("", "corrupt", Text(case.pair.corrupt))
        said = Text.assemble(f"the model {case.model.text!r}, the circuit ", (repr(case.circuit.text), _right(case)))
        table.add_row("", "says", said)
        table.add_row("", "KL", f"{case.kl:.2f}, found {_where(case)}")
    of = f"The {len(shown)} worst of {len(worst)} cases kept" if len(shown) < len(worst) else "The worst cases"
    return Group(Text(f"{of}; the model is right on all of them", style="bold"), table)


def _diagnosis(found: Sequence[Diagnosis]) -> RenderableType:
    table = plain_table(header=False)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column()
    for number, one in enumerate(found, start=1):
        steps = [f"{back.edge.name} {back.kl:.2f}" for back in one.together[:_EDGES]]
        more = f" and {len(one.together) - _EDGES} more" if len(one.together) > _EDGES else ""
        last = "repaired" if one.repaired else f"not repaired by up to {MOST} edges"
        repairs = f", then {', '.join(steps)}{more}: {last}" if steps else f", and nothing helps: {last}"
        if one.repaired and not steps:
            repairs = ": near enough to the model to need no repair"
        table.add_row(str(number), f"KL {one.case.kl:.2f}{repairs}")
    common = [f"{edge.name} ({count})" for edge, count in recurring(found)[:_EDGES] if count > 1]
    shared = [Text(f"In the repairs of several: {', '.join(common)}")] if common else []
    return Group(Text("What repairs the worst of them: edges put back, and the KL then", style="bold"), table, *shared)


def _lines(attack: Attack) -> dict[str, str]:
    """What takes a line each: the search's effort, necessity, specificity, and what was left out."""
    found, plan = attack.found, attack.plan
    lines = {}
    if found.search:
        in_shards = f" in {plan.search.shards} shards" if plan.search.shards > 1 else ""
        speed = f"{found.search.per_second:,.0f} a second"
        lines["search"] = (
            f"{found.search.failures:,} of {found.search.tested:,} prompts tested break the circuit ({speed}, budget "
            f"{plan.search.budget:,}{in_shards}, seed {plan.seed})"
        )
    if found.necessity:
        lines["necessity"] = f"without the circuit the model keeps {_kept(found.necessity.kept)} of the behaviour"
    if found.specificity is not None:
        lines["specificity"] = _specificity(found.specificity)
    lines |= {part: f"skipped: {why}" for part, why in attack.left_out.skipped.items()}
    return lines | {part: f"failed: {error}" for part, error in attack.left_out.failed.items()}


def _specificity(others: Sequence[OtherTask]) -> str:
    measured = [f"{one.task} {_kept(one.kept)}" for one in others if one.kept]
    undone = [one.task for one in others if one.verdict == "model's limit"]
    inexpressible = sum(one.verdict == "not expressible" for one in others)
    parts = [f"of other tasks the circuit keeps: {', '.join(measured)}" if measured else ""]
    parts += [f"the model does not do {', '.join(undone)}" if undone else ""]
    parts += [f"its tokenizer cannot express {inexpressible} other{'s' * (inexpressible > 1)}" if inexpressible else ""]
    return "; ".join(filter(None, parts)) or "there is no other task"


def _kept(interval: Interval) -> str:
    # adding 0 turns -0, to which small negative parts are rounded, into 0
    value, low, high = (f"{round(part, 2) + 0.0:.0%}" for part in (interval.value, interval.low, interval.high))
    return f"{value} (95% CI {low} to {high})"


def _where(case: Case) -> str:
    how, _, name = case.found_by.partition(" ")
    return "on its own prompts" if case.found_by == STANDARD else f"by the {how} {name!r}" if name else f"by {how}"


def _right(case: Case) -> str:
    return "green" if case.circuit.right else "bold red"


def _share(fraction: float | None, of: int) -> str:
    return "-" if fraction is None else f"{fraction:.0%} of {of:,}"


def _part(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.0%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
