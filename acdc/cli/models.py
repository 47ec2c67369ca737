"""`acdc models`: the models that come with the package, and what else a model's name can be."""

from __future__ import annotations

from acdc.cli import terminal
from acdc.cli.options import AsJson
from acdc.models import available


def models(json: AsJson = False) -> None:
    """List the models that come with the package."""
    shipped = available()
    if json:
        keys = ("name", "layers", "heads", "megabytes", "about")
        terminal.write_json([{key: getattr(m, key) for key in keys} | {"path": str(m.path)} for m in shipped])
        return
    from acdc.report.catalogue import models as table

    out = terminal.results()
    out.print(table(shipped))
    out.print(
        "\nThey work offline, by name: `acdc discover periodic --model periodic-2l`. --model also takes\n"
        "  a directory   with config.json, *.safetensors and a tokenizer: --model path/to/checkpoint\n"
        "  a program     compiled by Tracr when it is loaded: --model tracr:reverse, --model tracr:proportion\n"
        "  a planted one written by hand around a circuit that a seed draws: --model planted:0, --model planted-or:1\n"
        "  a hub name    with a revision if wanted: --model gpt2, --model Qwen/Qwen2.5-0.5B@abc123",
        soft_wrap=True,
    )
