"""`acdc export`: a circuit in another form, for other programs and for papers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from acdc.cli import named_file, terminal
from acdc.cli.options import Anyway, CircuitPath, Device, ItsModel, ItsTask, argument, circuit_file, option, paragraph
from acdc.errors import BadSetting, UnwritableOutput
from acdc.graphs.circuit import Circuit
from acdc.report.exports import FORMS, ExportSubject, form_of, losses

if TYPE_CHECKING:
    from acdc.report.neuronpedia import ExamplePrompt


def forms_help() -> str:
    """What forms there are, a line each."""
    return paragraph("Forms:", {f"{name} ({form.ending})": form.about for name, form in FORMS.items()}, 26)


def export(
    circuit: CircuitPath,
    file: Annotated[Path, argument("FILE", is_="The file to write; its ending says in which form.")],
    form: Annotated[
        str | None, option("--as", takes="FORM", is_="The form, see below, where the ending has several")
    ] = None,
    top: Annotated[int | None, option("--top", takes="N", is_="Pictures: draw the N strongest edges [all]")] = None,
    prompt: Annotated[
        int | None, option("--prompt", takes="N", is_="Neuronpedia: the N-th prompt that judges it [1]")
    ] = None,
    task: ItsTask = None,
    model: ItsModel = None,
    device: Device = "cpu",
    anyway: Anyway = False,
) -> None:
    """Write a circuit as a picture, or for another program.

    Only Neuronpedia's form runs the model, on the prompt that it shows; what other forms say is in the circuit's file.
    """
    from acdc.judges.findings import Findings

    name = form_of(file, form)
    for option_, given in (("--task", task), ("--model", model), ("--prompt", prompt)):
        if given is not None and name != "neuronpedia":
            raise BadSetting(f"{option_} is for the form neuronpedia, and this is {name}; leave it out")
    if top is not None and (top < 1 or not FORMS[name].drawn):
        what = f"--top is {top}; wanted a number of edges from 1" if top < 1 else f"--top is for pictures, not {name}"
        raise BadSetting(f"{what}; `acdc cut` makes a smaller circuit and measures it")
    named_file.check(file, [FORMS[name].ending])
    if file.exists():
        raise UnwritableOutput(f"{file} exists already; name another file, or move this one away")
    source = circuit_file(circuit)
    loaded = Circuit.load(source)
    title = Findings.of(loaded, str(source)).origin.title

    def example() -> ExamplePrompt:
        from acdc.judges.evaluation import judgement
        from acdc.provenance import Provenance
        from acdc.report.neuronpedia import ExamplePrompt

        setup = Provenance.of(loaded).setup().on(device)
        problem = judgement(loaded, task=task, model=model, setup=setup, anyway=anyway, tell=terminal.note)
        return ExamplePrompt.of(problem, prompt or 1)

    shown = loaded if top is None else loaded.strongest(top)
    part = f": the {len(shown):,} strongest of its {len(loaded):,} edges" if len(shown) < len(loaded) else ""
    with named_file.writing(file):
        FORMS[name].write(ExportSubject(shown, f"{title}{part}", example), file)
    for loss in losses(file, name):
        terminal.note(loss)
    terminal.results().print(f"Written: {file}", soft_wrap=True)
