"""A table of wrong inputs, with the exit code and the message of each: none ends in a traceback, none is accepted
silently, none leaves anything behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from acdc import tasks
from acdc.cli.commands import command
from tests.acdc.cli.command_line import acdc, nothing_written, refused
from tests.checkpoints import change_config, change_weights

Prepare = Callable[[], object]


@dataclass(frozen=True)
class Wrong:
    """A command line, what of its message must be there, its exit code, and what is done in the directory before."""

    words: str
    says: str
    code: int = 2
    prepared: Prepare | None = None


def file(name: str, content: str | bytes) -> Prepare:
    """Write a file."""
    return lambda: Path(name).write_bytes(content.encode() if isinstance(content, str) else content)


def link(name: str, target: str) -> Prepare:
    """Make a symbolic link."""
    return lambda: os.symlink(target, name)


def circuit(edge: str = '"edge": "input->logits", "score": 1', more: str = "", **sizes: Any) -> Prepare:
    """Write c.json, a circuit of one edge, and something wrong with it."""
    graph = {"n_layers": 2, "n_heads": 4, "d_model": 64, "has_mlp": True, "parallel": False, "frozen_scale": False}
    text = f'{{"schema": "acdc.circuit/1", {more} "graph": {json.dumps({**graph, **sizes})}, "edges": [{{{edge}}}]}}'
    return file("c.json", text)


def changed(**parts: Any) -> Prepare:
    """Write c.json, a circuit that was found, some parts of whose record say something else."""

    def prepared() -> None:
        data = json.loads(Path("found/circuit.json").read_text())
        for name, entries in parts.items():
            data[name] = {**data[name], **entries} if isinstance(entries, dict) else entries
        Path("c.json").write_text(json.dumps(data))

    return prepared


def checkpoint(change: Callable[[Path], object]) -> Prepare:
    """Make m, a copy of a shipped model, and change something in it."""

    def prepared() -> None:
        shutil.copytree(tasks.shipped_model("periodic-2l"), "m")
        change(Path("m"))

    return prepared


def without(pattern: str) -> Prepare:
    """A checkpoint that lacks some files."""
    return checkpoint(lambda model: [path.unlink() for path in model.glob(pattern)])


def weights(change: Callable[[dict[str, Any]], object]) -> Prepare:
    """A checkpoint with other weights."""
    return checkpoint(lambda model: change_weights(model, change))


def config(**fields: Any) -> Prepare:
    """A checkpoint with another configuration."""
    return checkpoint(lambda model: change_config(model, **fields))


LONG = "x" * 300
BIG = "9" * 30
FEW = "--prompts 2 --threshold 2"

DISCOVER = (
    Wrong("discover", "Missing argument 'TASK_OR_FILE'"),
    Wrong("discover nope", "unknown task: got 'nope'.*known: periodic"),
    Wrong("discover ''", "TASK_OR_FILE is empty; give it a value"),
    Wrong("discover periodic extra", "unexpected extra argument"),
    Wrong("discover periodic --nope", "No such option: --nope"),
    Wrong("discover periodic --method nope", "unknown method 'nope'; wanted one of acdc, "),
    Wrong("discover periodic --metric nope", "unknown metric: got 'nope'.*known: logit_difference"),
    Wrong("discover periodic --ablation nope", "unknown ablation 'nope'; wanted one of resample"),
    Wrong("discover periodic --dtype float8", "unknown dtype 'float8'; wanted one of float64"),
    Wrong("discover periodic --select nope --method eap", "unknown selection 'nope'; wanted top or greedy"),
    Wrong("discover periodic --device cuda:99", "'cuda:99' cannot be used here.*try --device cpu"),
    Wrong("discover periodic --device nope", "'nope' cannot be used here.*try --device cpu"),
    # numbers
    Wrong("discover periodic --prompts 0", "0 prompts are too few; wanted at least 2"),
    Wrong("discover periodic --prompts 999999999", "999,999,999 prompts are too many; wanted at most 100,000"),
    Wrong("discover periodic --prompts nan", "Invalid value for '--prompts'"),
    Wrong("discover periodic --prompts 1e999", "Invalid value for '--prompts'"),
    Wrong("discover periodic --seed -1", "the seed is -1; wanted 0"),
    Wrong("discover periodic --edges 0", "a circuit of 0 edges does nothing; wanted at least 1"),
    Wrong("discover periodic --edges -3", "a circuit of -3 edges does nothing; wanted at least 1"),
    Wrong("discover periodic --threshold 0", "the threshold is 0.0; wanted a positive number"),
    Wrong("discover periodic --threshold -1", "the threshold is -1.0; wanted a positive number"),
    Wrong("discover periodic --threshold nan", "the threshold is nan; wanted a positive number"),
    Wrong("discover periodic --threshold 1e999", "the threshold is inf; wanted a positive number"),
    Wrong("discover periodic --kl 0", "the KL divergence to allow is 0.0; wanted a positive number"),
    Wrong("discover periodic --accuracy nan", "the accuracy to keep is nan; wanted a fraction"),
    Wrong("discover periodic --faithfulness 90", "the faithfulness to keep is 90.0; wanted a fraction"),
    Wrong("discover periodic --max-memory nan", "--max-memory is nan; wanted a number of gigabytes"),
    Wrong("discover periodic --max-memory 1e999", "--max-memory is inf; wanted a number of gigabytes"),
    Wrong("discover periodic --max-memory 0", "--max-memory is 0; wanted a number of gigabytes"),
    Wrong("discover periodic --method eap-ig --steps 0", "over 0 steps cannot be taken; wanted 1 to 10,000"),
    Wrong(f"discover periodic --method eap-ig --steps {BIG}", "steps cannot be taken; wanted 1 to 10,000"),
    Wrong("discover periodic --robust --budget 0", "the budget of a refinement is 0; wanted at least 1"),
    Wrong(f"discover periodic --robust --budget {BIG}", "the budget of a refinement is .*; wanted at most"),
    Wrong("discover periodic --robust --bound inf", "the bound of a refinement is infinite; wanted a number"),
    Wrong("discover periodic --robust --growth nan", "the growth of a refinement is nan; wanted at least 1"),
    Wrong("--threads 0 discover periodic", "--threads is 0; wanted at least 1"),
    Wrong(f"--threads {BIG} discover periodic", "--threads is .*; wanted at most 1,024"),
    # what excludes each other, and what would be passed over
    Wrong("discover periodic --kl 0.1 --accuracy 0.9", "got --kl 0.1 and --accuracy 0.9, wanted one; drop one"),
    Wrong("discover periodic --edges 5 --edges 6", "--edges is given more than once; wanted it once"),
    Wrong("discover periodic -o a --out b", "--out is given more than once; wanted it once"),
    Wrong("discover periodic --steps 5", "acdc does not look at steps.*for eap.acdc, shortlist, coarse, eap-ig"),
    Wrong("discover periodic --level node", "acdc does not look at level .--level., which is for coarse; leave it out"),
    Wrong("discover periodic --method coarse --level layer", "unknown level 'layer'; wanted one of node, slot, edge"),
    Wrong("discover periodic --method coarse --level node --refine", "--refine drops single edges, and a circuit"),
    Wrong("discover periodic --select greedy", "acdc does not look at select .*for eap, "),
    Wrong("discover periodic --method eap --steps 7", "eap does not look at steps"),
    Wrong("discover periodic --budget 10", "--budget is a setting of --robust; give both or neither"),
    Wrong("discover periodic --robust --dry-run", "use --dry-run without it"),
    Wrong("discover periodic --dry-run --resume", "--dry-run tells .* and --resume .*; give one of them"),
    Wrong("discover periodic --sampled", "--sampled says how --dry-run finds out .*; give both or neither"),
    Wrong("discover periodic --dry-run --method eap --metric kl", "the gradient of kl is 0 at every edge"),
    Wrong("discover periodic --dry-run --method eap --metric accuracy", "accuracy has no gradient"),
    Wrong("discover periodic --dry-run --device nonsense --dtype bfloat16", "the device 'nonsense' cannot be used"),
    # where to
    Wrong("discover periodic --out found/circuit.json", "cannot be written: Not a directory.*with --out"),
    Wrong("discover periodic --out /dev/null/out", "cannot be written: Not a directory.*with --out"),
    Wrong(f"discover periodic --out {LONG}", "--out is x+, which cannot be used: File name too long"),
    Wrong("discover periodic --out ''", "--out is empty; give it a value"),
    Wrong("discover periodic --out loop", "cannot be used: Too many levels", prepared=link("loop", "loop")),
    Wrong("discover periodic --out 'a\udcff'", "--out is 'a.udcff', which is no UTF-8 text"),
    Wrong(f"discover periodic --out found {FEW}", "found holds the result of another run"),
    Wrong("discover periodic --resume", "there is nothing to resume.*start without --resume"),
    Wrong("discover periodic --threshold 9999 --prompts 4", "0 edges", code=1),
)

BEHAVIOURS = (
    Wrong("discover b.yaml", "cannot be read: got 'no such file or directory'"),
    Wrong(f"discover {LONG}.yaml", "cannot be read: got 'file name too long'"),
    Wrong("discover b.yaml", "cannot be read: got 'is a directory'", prepared=lambda: Path("b.yaml").mkdir()),
    Wrong("discover b.yaml", "got 'too many levels of symbolic links'", prepared=link("b.yaml", "b.yaml")),
    Wrong("discover b.yaml", "got an empty file, wanted", prepared=file("b.yaml", "")),
    Wrong("discover b.yaml", "got a list of 1, wanted", prepared=file("b.yaml", "- a")),
    Wrong("discover b.yaml", "b.yaml:2: this is not YAML.*t' that cannot start", prepared=file("b.yaml", "a:\n\tb: 1")),
    Wrong("discover b.yaml", "b.yaml:2: a key is given twice", prepared=file("b.yaml", "name: a\nname: b")),
    Wrong("discover b.yaml", "b.yaml:1: unknown key: got 'nme'", prepared=file("b.yaml", "nme: a")),
    Wrong("discover b.yaml", "not UTF-8: got the byte 0xff", prepared=file("b.yaml", b"\xff\xfe\x00")),
    Wrong("discover b.yaml", "half of a character", prepared=file("b.yaml", 'name: "\\ud800"')),
    Wrong("discover found/circuit.json", "unknown key: got 'schema'"),
)

CHECKPOINTS = (
    Wrong("discover periodic --model nope", "no model called 'nope'; wanted a shipped model.*periodic-2l"),
    Wrong("discover periodic --model ''", "--model is empty; give it a value"),
    Wrong(f"discover periodic --model {LONG}", "no model called 'x+'; wanted a shipped model"),
    Wrong("discover periodic --model tracr:nope", "nope"),
    Wrong("discover periodic --model planted:-1", "planted:-1"),
    Wrong("discover periodic --model found", "the directory .*found is no checkpoint: it lacks config.json"),
    Wrong("discover periodic --model m", r"lacks \*.safetensors: weights", prepared=without("*.safetensors")),
    Wrong("discover periodic --model m", r"lacks tokenizer\*: a tokenizer", prepared=without("*token*")),
    Wrong(
        "discover periodic --model m",
        "only safetensors are read; convert .bin",
        prepared=checkpoint(lambda m: (m / "model.safetensors").rename(m / "pytorch_model.bin")),
    ),
    Wrong(
        "discover periodic --model m",
        "the checkpoint in .*m cannot be read",
        prepared=checkpoint(lambda m: (m / "model.safetensors").write_bytes(b"")),
    ),
    Wrong(
        "discover periodic --model m",
        "the checkpoint in .*m cannot be read",
        prepared=checkpoint(lambda m: (m / "config.json").write_bytes(b"\x00")),
    ),
    Wrong(
        "discover periodic --model m",
        "more_weights",
        prepared=weights(lambda w: w.update(more_weights=w[min(w)].clone())),
    ),
    Wrong("discover periodic --model m", "take both files from the same checkpoint", prepared=config(n_layer=1)),
    Wrong("discover periodic --model m", "take both files from the same checkpoint", prepared=config(n_layer=3)),
    Wrong("discover periodic --model m", "take both files from the same checkpoint", prepared=config(n_embd=32)),
    Wrong(
        "discover periodic --model m", "NaN|not finite|nan", prepared=weights(lambda w: w[min(w)].fill_(float("nan")))
    ),
    Wrong(
        "discover periodic --model m",
        "model_type='nope' of .*m is no causal language model",
        prepared=config(model_type="nope"),
    ),
)

CIRCUITS = (
    Wrong("cut nope.json --edges 3", "no circuit can be read from nope.json: No such file"),
    Wrong("show nope.json", "no circuit can be read from nope.json: No such file"),
    Wrong("show .", "no circuit can be read from circuit.json: No such file"),
    Wrong(f"show {LONG}", "CIRCUIT is x+, which cannot be used: File name too long"),
    Wrong("show c.json", "which cannot be used: Too many levels", prepared=link("c.json", "c.json")),
    Wrong("show found/circuit.dot", "it is a drawing in DOT.*give the circuit.json"),
    Wrong("show c.json", "it is XML, such as SVG", prepared=file("c.json", "<svg/>")),
    Wrong("show c.json", "it is GraphML.*rename the file", prepared=file("c.json", "<graphml/>")),
    Wrong("show c.graphml", "c.graphml is no GraphML that holds", prepared=file("c.graphml", "<graphml/>")),
    Wrong("export found x.json", "several forms; say which with --as: circuit, mib"),
    Wrong("export found x.svg --as docx", "docx.*svg"),
    Wrong("export found found", "got the ending '', wanted one of .svg"),
    Wrong("explore nope", "unknown task: got 'nope'"),
    Wrong("features nope m0", "unknown task: got 'nope'"),
    Wrong("features ioi nope", "nope is no folder"),
    Wrong("features ioi m9", "the model has only 4 layers"),
    Wrong("features ioi m0 --feature x", "--feature is 'x'; wanted numbers"),
    Wrong("features ioi m0 --feature 99999", "--feature 99999 is not there; m0 has 512"),
    Wrong("report", "Missing argument"),
    Wrong("sweep nowhere.yaml", "nowhere.yaml"),
    Wrong("sweep grid.yaml", "grid.yaml:2: unknown key", prepared=file("grid.yaml", "tasks: [ioi]\nsedes: [1]\n")),
    Wrong("report nowhere", "no circuit can be read from nowhere"),
    Wrong("report found found found", "a page shows one run or compares two: got 3, wanted 1 or 2; drop some"),
    Wrong("report found --out page.txt", "got the ending '.txt', wanted one of .html, .htm"),
    Wrong("report found --out nodir/page.html", "there is no directory"),
    Wrong("report found --out p.html", "p.html exists and is not the page of this run", prepared=file("p.html", "a")),
    Wrong("report found", "view.json is damaged", prepared=file("found/view.json", "[")),
    Wrong("view nowhere", "nowhere"),
    Wrong("view found --port 70000", "70000"),
    Wrong("show c.graphml", "c.graphml is no GraphML that holds", prepared=file("c.graphml", "<graphml")),
    Wrong("show c.json", "c.json is not JSON", prepared=file("c.json", "sender,receiver\na,b")),
    Wrong("show c.json", "c.json is not JSON", prepared=file("c.json", "")),
    Wrong("show c.json", "c.json is not JSON.*truncated", prepared=file("c.json", '{"schema": "acdc.circ')),
    Wrong("show c.json", "c.json is not JSON", prepared=file("c.json", b"\x00\xff\x00")),
    Wrong("show c.json", "c.json is not JSON.*BOM", prepared=file("c.json", "\ufeff{}")),
    Wrong("show c.json", "nested too deeply", prepared=file("c.json", "[" * 100_000)),
    Wrong("show c.json", "got 'list', wanted schema", prepared=file("c.json", "[]")),
    Wrong("show c.json", "half of a character", prepared=circuit(more='"notes": ["\\ud800"],')),
    Wrong("show c.json", "NaN is no finite number", prepared=circuit('"edge": "input->logits", "score": NaN')),
    Wrong("show c.json", "1e999 is no finite number", prepared=circuit('"edge": "input->logits", "score": 1e999')),
    Wrong("show c.json", "is '3', which is not a number", prepared=circuit('"edge": "input->logits", "score": "3"')),
    Wrong(
        "show c.json",
        "frequency of input->logits is '1', which is not a number",
        prepared=circuit('"edge": "input->logits", "score": 1, "frequency": "1"'),
    ),
    Wrong(
        "show c.json", "the key 'edge' is given twice", prepared=circuit('"edge": "m0->logits", "edge": "m1->logits"')
    ),
    Wrong("show c.json", "no node is called 'm01'", prepared=circuit('"edge": "m01->logits", "score": 1')),
    Wrong("show c.json", "not in this model.*a9.h0->logits", prepared=circuit('"edge": "a9.h0->logits", "score": 1')),
    Wrong("show c.json", "has more than 100,000,000 edges", prepared=circuit(n_layers=10**9)),
    Wrong("show c.json", "has more than 100,000,000 edges", prepared=circuit(n_heads=10**9)),
    Wrong("show c.json", "is damaged: .*n_layers.* 2.5", prepared=circuit(n_layers=2.5)),
    Wrong("show c.json", "n_heads is True, wanted a whole number", prepared=circuit(n_heads=True)),
    Wrong("show c.json", "d_model is -1, wanted a whole number", prepared=circuit(d_model=-1)),
    Wrong("show c.json", "is damaged: .*has_mlp.* 'no'", prepared=circuit(has_mlp="no")),
    Wrong("show c.json", "under 'faithfulness' cannot be understood", prepared=changed(faithfulness="x")),
    Wrong("show c.safetensors", "no score matrix in MIB's form", prepared=file("c.safetensors", b"\x00" * 9)),
    # what to do with it
    Wrong("show found --top -1", "--top is -1; wanted a number of edges"),
    Wrong("show found --top 3 --json", "--json lists all of them; give one of both"),
    Wrong("show found --render x.gif", "got the ending '.gif', wanted one of .svg"),
    Wrong("show found --render nodir/x.svg", "there is no directory .*nodir; name a file in"),
    Wrong("show found --mib x.pt", "got the ending '.pt', wanted one of .json, .safetensors"),
    Wrong(f"show found --render {LONG}.svg", "--render is x+.svg, which cannot be used: File name too long"),
    Wrong("diff found nope", "no circuit can be read from nope"),
    Wrong("diff found found --render x.graphml", "got the ending '.graphml', wanted one of .svg"),
    Wrong("diff found found --top -1", "--top is -1; wanted a number of edges"),
    Wrong("diff found found --top 3 --json", "--json lists all of them; give one of both"),
    Wrong("diff found found --model siit-pick-3l", "the circuit is of a model with 2 layers"),
)

MEASURED = (
    Wrong("evaluate nope", "no circuit can be read from nope"),
    Wrong("evaluate found --task nope", "unknown task: got 'nope'"),
    Wrong("evaluate found --metric ''", "--metric is empty"),
    Wrong("evaluate found --prompts 1", "1 prompt is too few; wanted at least 2"),
    Wrong("evaluate found --at-least nan", "--at-least is nan; wanted a fraction above 0"),
    Wrong("evaluate found --at-least 90", "--at-least is 90; wanted a fraction above 0"),
    Wrong("evaluate found --at-least 1", "the circuit keeps .*, less than the 100.0% of --at-least", code=1),
    Wrong("evaluate c.json", "unknown metric: got 'nope'", prepared=changed(metric={"name": "nope"})),
    Wrong("evaluate c.json", "-5 prompts are too few", prepared=changed(prompts={"count": -5})),
    Wrong("evaluate c.json", "the weights .*are not those", prepared=changed(model={"weights": "sha256:0"})),
    Wrong("evaluate c.json", "lacks metric.name", prepared=circuit()),
    Wrong("explore nope", "unknown task: got 'nope'"),
    Wrong("explore periodic --prompts 1", "at least 2"),
    Wrong("report nope", "no circuit can be read from nope"),
    Wrong("explain nope", "no circuit can be read from nope"),
    Wrong("explain found --variations 1", "--variations is 1; wanted at least 2 prompts of each, or 0"),
    Wrong("explain found --variations -1", "--variations is -1; wanted at least 2 prompts of each, or 0"),
    Wrong("explain found --task nope", "unknown task: got 'nope'"),
    Wrong("explain c.json", "c.json is not called circuit.json.*with --out", prepared=changed()),
    Wrong("explain c.json --out o", "the weights .*are not those", prepared=changed(model={"weights": "sha256:0"})),
    Wrong("explain found --out found/circuit.json", "cannot be written: .*with --out"),
    Wrong("stability found --resamples 0 --seeds 0", "say nothing of stability; wanted at least one"),
    Wrong("stability found --resamples -1", "say nothing of stability; wanted at least one"),
    Wrong(f"stability found --resamples {BIG}", "are too many; wanted at most 10,000 discoveries"),
    Wrong("stability found --resume", "there is nothing to resume.*start without --resume"),
    Wrong("stability c.json --out o", "under 'notes' cannot be understood", prepared=changed(notes=5)),
    Wrong("stability c.json --out o", "damaged: KeyError", prepared=changed(algorithm={"goal": {"kind": "nope"}})),
    Wrong("attack found --only nope", "no part called 'nope'; wanted some of variations"),
    Wrong("attack found --only ,", "no part called ''; wanted some of variations"),
    Wrong("attack found --budget 0", "the budget of the search is 0; wanted at least 1"),
    Wrong(f"attack found --prompts {BIG}", "prompts of a variation is .*; wanted at most 100,000"),
    Wrong(f"attack found --cross {BIG}", "prompts to cross is .*; wanted at most 100,000"),
    Wrong("attack found --fail-above nan", "--fail-above is nan; wanted a KL divergence in nats"),
    Wrong("attack found --resume", "there is nothing to resume.*start without --resume"),
    Wrong("attack found --out found/circuit.json", "cannot be written: Not a directory.*with --out"),
)

CLAIMS = (
    Wrong("pin nope test_a.acdc.yaml", "no attack can be read from nope"),
    Wrong("pin found a.yaml", "got 'a.yaml', wanted test_.*acdc.yaml; rename it"),
    Wrong("pin found/circuit.json test_a.acdc.yaml", "its schema is 'acdc.circuit/1', wanted 'acdc.attack/1'"),
    Wrong("pin a.json test_a.acdc.yaml", "no attack can be read from a.json", prepared=file("a.json", "[" * 100_000)),
    Wrong("pin found test_a.acdc.yaml --at-most nan", "--at-most is nan; wanted a bound"),
    Wrong("test nope", "there is no hypothesis file at nope"),
    Wrong("test .", "there is no hypothesis file at .: wanted a file called test_"),
    Wrong("test found ''", "PATH... is empty; give it a value"),
    Wrong("test found --update --model periodic-2l", "--update and --model were given together"),
    Wrong("test .", "test_a.acdc.yaml", prepared=file("test_a.acdc.yaml", "")),
    Wrong("test .", "test_a.acdc.yaml:2", prepared=file("test_a.acdc.yaml", "a:\n\tb: 1")),
    Wrong("test .", "test_a.acdc.yaml", prepared=file("test_a.acdc.yaml", b"\xff\xfe\x00")),
    Wrong("bench --methods nope", "unknown method 'nope'; wanted one of acdc"),
    Wrong("bench --methods eap,eap", "got one of them twice, wanted at least one, and each once"),
    Wrong("bench --models ,", "a table needs models: got none"),
    Wrong("bench --seeds 0", "0 seeds are too few; wanted 1 to 10,000"),
    Wrong(f"bench --seeds {BIG}", "seeds are too many; wanted 1 to 10,000"),
    Wrong(f"bench --prompts {BIG}", "prompts are too many; wanted 2 to 100,000"),
    Wrong("bench --out found/circuit.json", "cannot be written: .*with --out"),
    Wrong("init a.txt", "got 'a.txt', wanted .yaml or .yml"),
    Wrong("init nodir/a.yaml", "cannot be written: No such file or directory"),
    Wrong("init a.yaml", "a.yaml is there already.*overwrite it with --force", prepared=file("a.yaml", "a: 1")),
    Wrong("schema extra", "unexpected extra argument"),
    Wrong("tasks --json --json", "--json is given more than once"),
    Wrong("models --nope", "No such option: --nope"),
    Wrong("nope", "No such command 'nope'"),
)

TABLE = (*DISCOVER, *BEHAVIOURS, *CHECKPOINTS, *CIRCUITS, *MEASURED, *CLAIMS)


@pytest.mark.parametrize("wrong", TABLE, ids=lambda wrong: f"{ascii(wrong.words)[1:60]} {wrong.says[:30]}")
@pytest.mark.usefixtures("found")
def test_a_wrong_input_is_refused_in_words_and_leaves_nothing_behind(wrong: Wrong) -> None:
    if wrong.prepared is not None:
        wrong.prepared()
    with nothing_written():
        ran = acdc(*shlex.split(wrong.words))
    told = " ".join(ran.err.split())
    assert ran.code == wrong.code, ran
    assert re.search(wrong.says, told), told
    assert "Traceback" not in ran.out + ran.err
    assert ran.code == 1 or ran.out in ("", "0 passed, 0 failed, 1 error\n")


def test_a_directory_whose_name_is_no_text_is_refused_before_it_stands_in_a_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("a\udcff").mkdir()
    monkeypatch.chdir("a\udcff")
    assert acdc("init", "b.yaml").code == 0
    told = refused("discover", "b.yaml", "--prompts", "4", "--threshold", "2")
    assert re.search(r"the path '.*a.udcff/b.yaml' cannot be recorded .* UTF-8 text; rename", told)


def test_every_command_is_in_the_table() -> None:
    met = {word for wrong in TABLE for word in shlex.split(wrong.words)[:3]}
    assert met >= set(command().commands)
    assert len(TABLE) >= 50
