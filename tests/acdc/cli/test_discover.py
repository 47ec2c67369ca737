"""`acdc discover` writes what it finds, tells of it, and refuses in words what it cannot do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import acdc as package
from acdc.cli.destination import PICTURES, TEXTS
from acdc.errors import UnreachableGoal
from acdc.graphs.circuit import Circuit
from acdc.settings import Edges, Goal, KeptAccuracy, KeptFaithfulness, MeanKL, Setup, Threshold
from tests.acdc.cli.command_line import QUICK, Ran, acdc, nothing_written, refused
from tests.checkpoints import Checkpoints

SMALL_ATTACKS = ("--prompts", "12", "--robust", "--budget", "30", "--method", "eap")
HEAD = "name: mine\nmodel: periodic-2l\nmetric: {metric}\nprompts:\n"


def behaviour(corrupt: str = "X Y X Y X", answer: str = " B", metric: str = "logit_difference") -> Path:
    """A behaviour file whose first prompt, `A B A B A`, has this corrupt twin and this answer."""
    good = 'clean: "{0} {1} {0} {1} {0}", corrupt: "P Q P Q P", answer: " {1}", distractor: " Q"'
    rows = [f'clean: "A B A B A", corrupt: "{corrupt}", answer: "{answer}", distractor: " Y"']
    rows += [good.format(*pair) for pair in ("CD", "EF", "GH")]
    text = HEAD.format(metric=metric) + "".join(f"  - {{{row}}}\n" for row in rows)
    path = Path("mine.yaml")
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    """A sweep to where the files go by default, and the directory it ran in."""
    directory = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setenv("COLUMNS", "80")
        return acdc("discover", "periodic", "--prompts", "8"), directory


def test_the_files_are_whole_and_where_they_are_said_to_be(told: tuple[Ran, Path]) -> None:
    ran, directory = told
    assert ran.code == 0, ran.err
    assert (
        "Written to runs/periodic-periodic-2l: circuit.json, circuit.dot, joining.safetensors, circuit.svg, circuit.png"
        in ran.out
    )
    run = directory / "runs" / "periodic-periodic-2l"
    assert {path.name for path in directory.rglob("*") if path.is_file()} == {path.name for path in run.iterdir()}
    assert Circuit.load(run / "circuit.json").edges
    assert "digraph" in (run / "circuit.dot").read_text()
    assert "</svg>" in (run / "circuit.svg").read_text()
    assert (run / "circuit.png").read_bytes().startswith(b"\x89PNG")


def test_the_result_reads_as_a_whole_story_in_80_columns(told: tuple[Ran, Path]) -> None:
    ran, directory = told
    circuit = Circuit.load(directory / "runs/periodic-periodic-2l/circuit.json")
    faithfulness = circuit.provenance["faithfulness"]
    lines = [line.rstrip() for line in ran.out.splitlines()]
    assert lines[:2] == ["periodic on periodic-2l", "Continues a periodic sequence: A B A B A -> B."]
    for words in (
        f"{len(circuit)} of 110 edges",
        f"keeps {faithfulness['normalised']['value']:.1%} (95% CI {faithfulness['normalised']['low']:.1%} to ",
        "model right   on 8 of 8 and on 8 of the 8 others",
        "full model  circuit  ablated",
        f"{faithfulness['metric']['full']:.2f}",
        "<- chosen",
        max(circuit.scores, key=lambda edge: circuit.scores[edge]).name,
        "Next: acdc show runs/periodic-periodic-2l",
    ):
        assert words in ran.out
    assert max(len(line) for line in lines if not line.startswith("Written to")) <= 80
    assert "\x1b" not in ran.out


def test_the_sweep_is_told_run_by_run_where_no_bar_can_be_drawn(told: tuple[Ran, Path]) -> None:
    lines = [line for line in told[0].err.splitlines() if not line.startswith("warning: ")]
    assert lines[0] == "loading periodic-2l"
    assert lines[-4:] == [
        "drawing the circuit",
        "measuring other sizes and single edges for report.html",
        "measuring circuits of other sizes",
        "removing single edges",
    ]
    assert re.fullmatch(r"judging the circuit on \d+ prompts", lines[-5])
    measured = "the model is right on 8 of 8 prompts; logit difference is "
    assert re.fullmatch(measured + r"[\d.]+ with all edges and -[\d.]+ with none", lines[1])
    assert [line.partition(" · ")[0] for line in lines[2:-5]] == [f"run {n}" for n in range(1, len(lines) - 6)]


def test_json_is_the_circuit_file_and_alone_on_stdout() -> None:
    ran = acdc("discover", "periodic", "--only-correct", "--json", "--out", "here", *QUICK)
    assert ran.code == 0, ran.err
    assert ran.json["prompts"]["only_correct"] is True
    assert ran.json == json.loads(Path("here/circuit.json").read_text())
    assert ran.json["schema"] == "acdc.circuit/1"
    assert {"faithfulness", "curve"} <= set(ran.json)


def test_quiet_says_the_essence_and_where_the_file_is() -> None:
    ran = acdc("discover", "periodic", "--quiet", "--out", "here", *QUICK)
    essence, file = ran.out.splitlines()
    assert essence.startswith("periodic on periodic-2l: ")
    assert file == "here/circuit.json"
    assert all(line.startswith("warning: ") for line in ran.err.splitlines())


def test_python_finds_the_same_circuit(found: Path) -> None:
    result = package.discover("periodic", goal=Threshold(2.0), setup=Setup(prompts=16))
    told = Circuit.load(found / "circuit.json")
    assert (result.circuit, result.circuit.scores) == (told, told.scores)
    assert told.provenance["faithfulness"] == result.faithfulness.to_json()


def test_the_options_are_what_the_circuit_was_found_with() -> None:
    options = {"--ablation": "mean", "--metric": "nll", "--seed": "3", "--dtype": "float64", "--prompts": "8"}
    given = [word for pair in options.items() for word in pair]
    data = acdc("discover", "periodic", *given, "--json", "--threshold", "0.5").json
    assert (data["ablation"], data["metric"]["name"], data["model"]["dtype"]) == ("mean", "nll", "float64")
    assert (data["prompts"]["seed"], data["prompts"]["discovery"]["count"]) == (3, 8)
    assert (data["algorithm"]["name"], data["algorithm"]["threshold"]) == ("acdc", 0.5)


@pytest.mark.parametrize(
    ("option", "goal"),
    [
        ([], KeptFaithfulness(0.9)),
        (["--faithfulness", "0.7"], KeptFaithfulness(0.7)),
        (["--edges", "12"], Edges(12)),
        (["--kl", "0.1"], MeanKL(0.1)),
        (["--accuracy", "0.95"], KeptAccuracy(0.95)),
        (["--threshold", "0.3"], Threshold(0.3)),
    ],
)
def test_each_goal_has_its_option(option: list[str], goal: Goal, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def prepare(*_: object, goal: Goal, **__: object) -> None:
        asked.append(goal)
        raise UnreachableGoal("no circuit of this kind")

    monkeypatch.setattr("acdc.discovery.discover.prepare", prepare)
    assert refused("discover", "periodic", *option) == "no circuit of this kind"
    assert asked == [goal]


def test_the_example_of_init_is_a_behaviour_whose_circuit_can_be_found() -> None:
    assert acdc("init", "my_behaviour.yaml").code == 0
    ran = acdc("discover", "my_behaviour.yaml", *QUICK, "--quiet")
    assert ran.code == 0, ran.err
    assert Path("runs/my_behaviour-everyday-4l/circuit.png").is_file()


def test_a_result_outlives_pictures_that_cannot_be_drawn(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acdc.graphs.drawing.graphviz_process.engines", lambda form: [])
    ran = acdc("discover", "periodic", "--out", found, *QUICK)
    assert ran.code == 3
    assert "Written to found: circuit.json, circuit.dot, joining.safetensors, details.json, report.html\n" in ran.out
    assert ran.err.splitlines()[-1].startswith(
        "error: the circuit could not be drawn as svg: neither the Python package"
    )
    assert sorted(path.name for path in found.iterdir()) == [
        "circuit.dot",
        "circuit.json",
        "details.json",
        "joining.safetensors",
        "report.html",
    ]


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("acdc", r"no removal cost more than (\d+\.?\d*);"),
        ("eap", r"the largest score is -?(\d+\.?\d*), of [am]\S+;"),
        ("eap --robust", r"the largest score is -?(\d+\.?\d*), of [am]\S+;"),
    ],
)
def test_a_circuit_of_no_edges_is_no_success(method: str, why: str) -> None:
    quick = ("--threshold", "1e6", "--prompts", "4", "--json")
    with nothing_written():
        ran = acdc("discover", "periodic", "--method", *method.split(), *quick)
    assert ran.code == 1
    assert ran.json["edges"] == []
    told = ran.err.splitlines()[-1]
    assert told.startswith(
        "error: the circuit has 0 edges at a threshold of 1e+06, so it does nothing and nothing was "
    )
    (largest,) = re.findall(why, told)
    assert 1 < float(largest) < 1e3


def test_an_interrupted_discovery_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("acdc.discovery.discover.Prepared.run", interrupted)
    with nothing_written():
        assert acdc("discover", "periodic").code == 130


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["periodc"],
            "unknown task: got 'periodc', wanted a task's name or the path of a .yaml file; did you mean 'periodic'?",
        ),
        (["nowhere.yaml"], "nowhere.yaml: the behaviour file cannot be read: got 'no such file or directory'"),
        (["periodic", "--model", "periodic-2"], "no model called 'periodic-2'; wanted a shipped model, a checkpoint"),
        (["periodic", "--method", "eap+acd"], "unknown method 'eap+acd'; did you mean eap+acdc"),
        (
            ["periodic", "--metric", "logit_dif"],
            "unknown metric: got 'logit_dif', wanted a metric's name; did you mean",
        ),
        (
            ["periodic", "--ablation", "men"],
            "unknown ablation 'men'; wanted one of resample, mean, mean-positional, zero",
        ),
        (["periodic", "--dtype", "float"], "unknown dtype 'float'; wanted one of float64, float32, bfloat16, float16"),
        (["periodic", "--device", "tpu"], "the device 'tpu' cannot be used here ("),
        (["periodic", "--prompts", "1"], "1 prompt is too few; wanted at least 2"),
        (["periodic", "--seed", "-3"], "the seed is -3; wanted 0 or a positive number"),
        (["periodic", "--threshold", "0"], "the threshold is 0.0; wanted a positive number in the metric's units"),
        (["periodic", "--edges", "0"], "a circuit of 0 edges does nothing; wanted at least 1"),
        (
            ["periodic", "--faithfulness", "90"],
            "the faithfulness to keep is 90.0; wanted a fraction above 0 and at most 1",
        ),
        (
            ["periodic", "--edges", "9", "--threshold", "1"],
            "a circuit can be found for one goal only: got --threshold 1.0 and --edges 9, wanted one; drop one",
        ),
    ],
)
def test_bad_input_is_one_message_and_exit_2(arguments: list[str], message: str) -> None:
    assert refused("discover", *arguments).startswith(message)


def test_a_hub_name_without_a_network_is_told_from_bad_input() -> None:
    told = refused("discover", "periodic", "--model", "gpt2", code=3)
    assert told == (
        "gpt2 is not on this machine and the Hugging Face hub cannot be reached; connect to the network, or give a "
        "shipped model's name or a local checkpoint directory"
    )


def test_malformed_yaml_is_told_with_its_line() -> None:
    Path("mine.yaml").write_text("name: [\nmodel: x")
    assert refused("discover", "mine.yaml").startswith("mine.yaml:2: this is not YAML: got the complaint")


def test_every_mistake_in_a_behaviour_file_is_told_at_once() -> None:
    Path("mine.yaml").write_text("name: 'a b'\nmodel: periodic-2l\nmetric: klm\nprompts: []\n")
    told = refused("discover", "mine.yaml").splitlines()
    assert [line.split(":")[1] for line in told] == ["1", "3", "4"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"corrupt": "X Y X Y"}, "mine.yaml:5: clean and corrupt prompt differ in length"),
        ({"answer": " B A"}, "mine.yaml:5:"),
    ],
    ids=["prompts that do not align", "an answer of several tokens"],
)
def test_prompts_that_this_tokenizer_cannot_express_are_told_with_their_line(given: dict[str, str], words: str) -> None:
    assert refused("discover", behaviour(**given)).startswith(words)


def test_half_of_a_character_in_a_behaviour_file_is_refused_with_its_line() -> None:
    path = behaviour(answer=r" \ud800")
    told = refused("discover", path)
    assert told.startswith("mine.yaml:5: a text holds half of a character (a lone surrogate): got '\\ud800'")


def test_the_form_of_the_answer_that_the_model_prefers_is_pointed_out(checkpoints: Checkpoints) -> None:
    rows = "".join(
        f'  - {{clean: " the {one}", corrupt: " a {one}", answer: "ANSWER", distractor: " on"}}\n'
        for one in ("cat", "dog", "mat", "saw")
    )
    text = f"name: mine\nmodel: {checkpoints.path('gpt2')}\nmetric: kl\nprompts:\n{rows}"
    told = []
    for answer in ("a", " a"):
        Path("mine.yaml").write_text(text.replace("ANSWER", answer))
        ran = acdc("discover", "mine.yaml", "--method", "eap-ig", "--edges", "20", "--prompts", "2")
        assert ran.code == 0, ran.err
        told += [
            line for line in ran.err.splitlines() if line.startswith("warning: the model prefers the answers with")
        ]
    assert len(told) == 1, "the random model prefers one of the two forms"


def test_that_the_model_hardly_shows_the_behaviour_is_said_before_the_search() -> None:
    rows = "".join(
        f'  - {{clean: "The {noun}s near the door", corrupt: "The {noun} near the door", answer: " were", '
        f'distractor: " was"}}\n'
        for noun in ("key", "cat", "dog", "book")
    )
    Path("mine.yaml").write_text(f"name: mine\nmodel: everyday-4l\nmetric: logit_difference\nprompts:\n{rows}")
    for more in ((), ("--quiet",)):
        ran = acdc("discover", "mine.yaml", "--method", "eap", "--edges", "20", "--out", f"here{len(more)}", *more)
        assert ran.code == 0, ran.err
        lines = [line for line in ran.err.splitlines() if not line.startswith("loading")]
        assert lines[0] == (
            "warning: the model hardly shows this behaviour: it is right on 0 of 2 prompts (0%), so a circuit of it "
            "tells little; choose a model that does (--model), or prompts that it gets right (--only-correct)"
        )
    assert (
        acdc("discover", "mine.yaml", "--edges", "20", "--dry-run", "--sampled").err.count(
            "warning: the model hardly shows"
        )
        == 1
    )


def test_a_metric_that_corruption_does_not_change_is_refused() -> None:
    rows = "".join(
        f'  - {{clean: "{a} {b} {a} {b} {a}", corrupt: "P Q P Q P", answer: " M", distractor: " N"}}\n'
        for a, b in ("AB", "CD", "EF", "GH")
    )
    Path("mine.yaml").write_text(HEAD.format(metric="accuracy") + rows)  # the model never says M
    assert refused("discover", "mine.yaml").startswith(
        "ablating the whole model worsens the accuracy of these prompts by only 0 (noise 0), so no circuit can be told"
    )


def test_an_output_directory_that_cannot_be_written_is_told_before_the_work_starts() -> None:
    Path("taken").write_text("a file")
    ran = acdc("discover", "periodic", "--out", "taken/deeper")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: the output directory taken/deeper cannot be written: Not a directory (")
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["--modle", "x"], ["--prompts", "many"], []])
def test_a_command_line_that_cannot_be_parsed_is_exit_2_and_points_to_the_help(arguments: list[str]) -> None:
    with nothing_written():
        ran = acdc("discover", *(["periodic"] * bool(arguments)), *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Try 'acdc discover --help' for help." in ran.err
    assert "Traceback" not in ran.err


def test_robust_tells_each_round_and_whether_it_helped() -> None:
    ran = acdc("discover", "planted_detour", "--model", "planted-hidden:8", "--out", "here", *SMALL_ATTACKS)
    assert ran.code == 0, ran.err
    rounds = [line for line in ran.err.splitlines() if line.startswith("round ") and " edges" in line and "KL" in line]
    assert rounds[0].startswith("round 0: 4 edges; KL mean ")
    assert rounds[0].endswith("broken by rare letter")
    assert rounds[1].startswith("round 1: 6 edges (+2 -0, by ")
    assert "Robust: it helped: worst KL under an unseen attack " in ran.out
    record = json.loads(Path("here/circuit.json").read_text("utf-8"))
    assert record["robust"]["plan"]["budget"] == 30
    assert {file.name for file in Path("here").iterdir()} == {*TEXTS, *PICTURES, "report.html", "details.json"}
    judged = acdc("evaluate", "here", "--json")
    assert judged.code == 0, judged.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "100"], "--budget is a setting of --robust; give both or neither"),
        (["--robust", "--growth", "0.5"], "the growth of a refinement is 0.5; wanted at least 1"),
        (["--robust", "--dry-run"], "what --robust costs depends on what each attack finds; use --dry-run without it"),
    ],
)
def test_settings_of_robust_that_make_no_sense_are_refused(arguments: list[str], message: str) -> None:
    assert refused("discover", "periodic", *arguments) == message


def test_a_page_and_what_it_shows_are_written_unless_they_are_not_wanted() -> None:
    for options, more in ((), {"details.json", "report.html"}), (("--no-report",), set()):
        ran = acdc("discover", "periodic", "--out", "with" if more else "without", *options, *QUICK)
        assert ran.code == 0, ran.err
        files = {file.name for file in Path("with" if more else "without").iterdir()}
        assert files == {*TEXTS, *PICTURES, "joining.safetensors", *more}
