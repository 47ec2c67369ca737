"""Behaviour files: what they may say, and the exact words for everything that is wrong with one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acdc.tasks.builtin.agreement import NOUNS, PREPOSITIONS
from acdc.tasks.errors import BadBehaviourFile, BadPrompts, PromptProblem
from acdc.tasks.files.behaviour_file import example, load_behaviour_file
from acdc.tasks.metrics import metric_names
from acdc.tasks.pairs import ChatTemplate, Scoring, TextPair, Wording
from acdc.tasks.prompts import ListedPrompts, TemplatePrompts
from acdc.tasks.task import Task
from tests.tasks.neighbours import neighbours_of
from tests.tasks.toy_tokenizer import ToyTokenizer

HEAD = "name: mine\nmodel: a-model\nmetric: kl\n"
ROWS = "".join(f'{{"clean": "{x} b", "corrupt": "{x} c", "answer": " d", "distractor": " e"}}\n' for x in "1234")
TABLE = "clean,corrupt,answer,distractor\n" + "".join(f"{x} b,{x} c, d, e\n" for x in "1234")
TEXTS = tuple(TextPair(f"{x} b", f"{x} c", (" d",), (" e",)) for x in "1234")


def load(folder: Path, text: str | bytes, **beside: str | bytes) -> Task:
    for name, content in {"mine.yaml": text, **beside}.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name.replace("_", ".")).write_bytes(data)
    return load_behaviour_file(folder / "mine.yaml")


def told(folder: Path, text: str | bytes, **beside: str | bytes) -> list[str]:
    """What is said about a bad file, without the folder's name."""
    with pytest.raises(BadBehaviourFile) as caught:
        load(folder, text, **beside)
    assert all(isinstance(problem, PromptProblem) for problem in caught.value.problems)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def listed(task: Task) -> ListedPrompts:
    assert isinstance(task.prompts, ListedPrompts)
    return task.prompts


def inline(*rows: str) -> str:
    return HEAD + "prompts:\n" + "".join(f"  - {row}\n" for row in rows)


def four(*rows: str) -> str:
    """A file with these prompts and as many good ones as make four."""
    good = [f'{{clean: "{x} b", corrupt: "{x} c", answer: " d", distractor: " e"}}' for x in "1234"]
    return inline(*rows, *good[len(rows) :])


def test_a_file_says_everything_about_a_task(tmp_path: Path) -> None:
    task = load(tmp_path, HEAD + "about: Does a thing.\nprompts: rows.jsonl\n", rows_jsonl=ROWS)
    assert (task.name, task.model, task.metric) == ("mine", "a-model", "kl")
    assert (task.about.sentence, task.about.source) == ("Does a thing.", "")
    assert listed(task).texts == TEXTS
    assert listed(task).places == tuple(f"{tmp_path}/rows.jsonl:{line}" for line in (1, 2, 3, 4))


def test_a_metric_by_another_of_its_names_is_stored_by_its_own(tmp_path: Path) -> None:
    assert load(tmp_path, four().replace("metric: kl", "metric: prob_diff")).metric == "probability_difference"


def test_prompts_inline_in_jsonl_and_in_csv_are_the_same(tmp_path: Path) -> None:
    assert listed(load(tmp_path, four())).texts == TEXTS
    assert listed(load(tmp_path, HEAD + "prompts: rows.jsonl\n", rows_jsonl=ROWS)).texts == TEXTS
    assert listed(load(tmp_path, HEAD + "prompts: rows.csv\n", rows_csv=TABLE)).texts == TEXTS


def test_inline_prompts_have_the_places_of_their_lines(tmp_path: Path) -> None:
    assert listed(load(tmp_path, four())).places == tuple(f"{tmp_path}/mine.yaml:{n}" for n in (5, 6, 7, 8))


def test_several_answers_a_position_and_a_template_may_be_given(tmp_path: Path) -> None:
    row = '{clean: a b, corrupt: a c, answer: [" d", " f"], distractor: [" e"], position: 0, template: T}'
    expected = TextPair("a b", "a c", (" d", " f"), (" e",), Scoring(0), Wording("T"))
    assert listed(load(tmp_path, four(row))).texts[0] == expected
    json_row = (
        '{"clean": "a b", "corrupt": "a c", "answer": [" d", " f"], "distractor": " e", "position": 0, '
        '"template": "T"}\n'
    )
    task = load(tmp_path, HEAD + "prompts: rows.jsonl\n", rows_jsonl=json_row + ROWS)
    assert listed(task).texts[0] == expected


def test_an_empty_cell_of_an_optional_column_is_not_given(tmp_path: Path) -> None:
    table = "clean,corrupt,answer,distractor,position,template\n" + "".join(
        f"{x} b,{x} c, d, e,{position},\n" for x, position in zip("1234", ("", "-2", "0", ""), strict=True)
    )
    texts = listed(load(tmp_path, HEAD + "prompts: rows.csv\n", rows_csv=table)).texts
    assert [text.scoring.position for text in texts] == [-1, -2, 0, -1]


@pytest.mark.parametrize("word", ["no", "7", "1:30", "2001-01-01", "1e3"])
def test_a_plain_word_of_yaml_is_the_word_as_written(tmp_path: Path, word: str) -> None:
    task = load(tmp_path, four(f"{{clean: a b, corrupt: a c, answer: {word}, distractor: x}}"))
    assert listed(task).texts[0].answers == (word,)


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    text = (HEAD + "prompts: rows.csv\n").replace("\n", "\r\n").encode("utf-8-sig")
    task = load(tmp_path, text, rows_csv=TABLE.replace("\n", "\r\n").encode("utf-8-sig"))
    assert listed(task).texts == TEXTS
    task = load(tmp_path, HEAD + "prompts: rows.jsonl\n", rows_jsonl=ROWS.replace("\n", "\r\n\r\n"))
    assert listed(task).texts == TEXTS


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
name: my task
modell: gpt2
metric: logit_dif
metric: kl2
about: {sentence: what}
prompts:
  - {clean: a b, corrupt: a b, answer: " c", distractor: [" c", ""]}
  - just text
  - clean: x
    corupt: y
    answer: []
    distractor:
    position: 1.5
  - {clean: a b, corrupt: c d, answer: " c", distractor: " x"}
  - {clean: a b, corrupt: c d, answer: " c", distractor: " x"}
"""
    assert told(tmp_path, text) == [
        "mine.yaml:1: this name cannot be part of a folder's name: got 'my task', wanted letters, digits, '_', '-' "
        "and '.', the first a letter or digit; rename it.",
        "mine.yaml:1: missing key: got nothing, wanted 'model'; add 'model'.",
        "mine.yaml:2: unknown key: got 'modell', wanted one of the known keys; did you mean 'model'?",
        "mine.yaml:4: a key is given twice: got 'metric', wanted every key once; remove one of the two.",
        "mine.yaml:4: 'metric' is wrong: got 'kl2', wanted 'logit_difference', 'probability_difference', "
        "'log_probability_difference', 'kl', 'nll', 'accuracy' or 'l2'; did you mean 'l2' or 'kl'?",
        "mine.yaml:5: 'about' is not a text: got a mapping, wanted a text of at least one character; write it in "
        "quotes.",
        "mine.yaml:7: 'distractor' is not a text: got an empty text, wanted a text of at least one character; write "
        "it in quotes.",
        "mine.yaml:7: clean and corrupt prompt are identical: got 'a b', wanted prompts that differ; change what "
        "the behaviour depends on in the corrupt prompt.",
        "mine.yaml:7: an answer is a distractor too: got [' c'] in both, wanted answers that differ from the "
        "distractors; remove it from one of the two.",
        "mine.yaml:8: 'prompts.1' is wrong: got 'just text', wanted a mapping with some of clean, corrupt, answer, "
        "distractor, position, template; write it as `{...}`.",
        "mine.yaml:9: missing key in 'prompts.2': got nothing, wanted 'corrupt'; add 'corrupt'.",
        "mine.yaml:10: unknown key: got 'corupt', wanted one of the known keys; did you mean 'corrupt'?",
        "mine.yaml:11: 'answer' holds nothing: got a list of 0, wanted at least one text; write one.",
        "mine.yaml:12: 'distractor' is not a text: got nothing, wanted a text of at least one character; write it "
        "in quotes.",
        "mine.yaml:13: 'position' is not a place: got '1.5', wanted a whole number; write -1 for the last token or "
        "leave it out.",
        "mine.yaml:15: this prompt is given twice: got the clean prompt of mine.yaml:14 again, wanted every clean "
        "prompt once; remove one.",
    ]


def test_a_key_that_a_row_repeats_is_refused(tmp_path: Path) -> None:
    rows = ROWS.replace('"corrupt": "2 c"', '"clean": "2 x", "corrupt": "2 c"')
    assert told(tmp_path, HEAD + "prompts: rows.jsonl\n", rows_jsonl=rows) == [
        "rows.jsonl:2: a key is given twice: got 'clean', wanted every key once; remove one of the two."
    ]
    table = TABLE.replace("distractor\n", "distractor,answer\n").replace(" e\n", " e, f\n")
    assert told(tmp_path, HEAD + "prompts: rows.csv\n", rows_csv=table) == [
        "rows.csv:1: a key is given twice: got 'answer', wanted every key once; remove one of the two."
    ]


def test_half_of_a_character_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    sentence = (
        r"a text holds half of a character (a lone surrogate): got '\ud800', wanted whole characters; write the "
        "character itself."
    )
    rows = ROWS.replace("1 b", r"1 \ud800 b").replace('"2 c"', r'"2 c", "templ\ud800te": "x"')
    unknown = "rows.jsonl:2: unknown key: got 'templ?te', wanted one of the known keys; did you mean 'template'?"
    found = told(tmp_path, HEAD + "prompts: rows.jsonl\n", rows_jsonl=rows)
    assert found == [f"rows.jsonl:1: {sentence}", f"rows.jsonl:2: {sentence}", unknown]
    for old, line in (("mine", 1), ("a-model", 2), ("about it", 4), ("1 b", 6), ('" d"', 6)):
        text = (
            (HEAD + "about: about it\nprompts:\n" + four().partition("prompts:\n")[2])
            .replace(old, old[0] + r"\ud800" + old[1:] if old.startswith('"') else rf'"\ud800{old}"', 1)
            .replace('""', '"')
        )
        assert f"mine.yaml:{line}: {sentence}" in told(tmp_path, text), old


def test_a_model_is_looked_up_beside_the_file_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(tmp_path, four()).model == "a-model"
    (tmp_path / "a-model").mkdir()
    assert load(tmp_path, four()).model == str(tmp_path / "a-model")
    assert load(tmp_path, four().replace("a-model", "~/a-model")).model == str(tmp_path / "a-model")


def test_answers_may_be_measured_by_their_first_tokens(tmp_path: Path) -> None:
    words = ToyTokenizer((" b", " c", " d", " e"))
    long = four('{clean: "1 b", corrupt: "1 c", answer: " dx", distractor: [" e", " cy"]}') + "answers: first-token\n"
    with pytest.raises(BadPrompts, match="the answer is not one token"):
        load(tmp_path, long.replace("first-token", "one-token")).build(words, 2, 0)
    toy = ToyTokenizer((*words.words,), pieces=True)
    pairs = load(tmp_path, long).build(toy, 2, 0)
    every = (*pairs.discovery.pairs, *pairs.judgement.pairs)
    assert {pair.text.answers for pair in every} == {(" d",)}
    [first] = [pair for pair in every if pair.text.clean == "1 b"]
    assert (first.text.distractors, len(first.answers), len(first.distractors)) == ((" e", " c"), 1, 2)
    slots = inline(TEMPLATE.replace('"{one}', '"{one}')) + SLOTS + "answers: first-token\n"
    source = load(tmp_path, slots).prompts
    assert isinstance(source, TemplatePrompts)
    assert source.draw(np.random.default_rng(0)).scoring.answers_as == "first-token"
    told_ = told(tmp_path, four() + "answers: all\n")
    assert told_ == [
        "mine.yaml:9: 'answers' says nothing known: got 'all', wanted one-token (each is one token), first-token (of "
        "several tokens the first is measured), first-difference (the first at which they differ) or whole (by the log "
        "probability of all their tokens); leave it out where every answer is one token."
    ]


def test_answers_may_be_measured_where_they_differ(tmp_path: Path) -> None:
    toy = ToyTokenizer((" ", "=", "1", "2", "3", "4", "5", "7"), pieces=True)
    rows = [f'{{clean: "{one} =", corrupt: "5 =", answer: " 14", distractor: " 17"}}' for one in (1, 2, 3, 4)]
    pairs = load(tmp_path, four(*rows) + "answers: first-difference\n").build(toy, 2, 0)
    for pair in (*pairs.discovery.pairs, *pairs.judgement.pairs):
        assert (pair.text.clean[1:], pair.text.answers, pair.text.distractors) == (" = 1", ("4",), ("7",))


CHAT = "template: chat\n"


def test_prompts_are_put_into_the_chat_template_and_so_are_those_of_variations_and_slots(tmp_path: Path) -> None:
    rows = "".join(f'      - {{clean: "{x} b", corrupt: "{x} c", answer: " d", distractor: " e"}}\n' for x in "56")
    variations = f"variations:\n  other:\n    about: Others.\n    prompts:\n{rows}"
    task = load(tmp_path, four() + CHAT + variations)
    for source in (task.prompts, task.variations[0].prompts):
        assert isinstance(source, ListedPrompts)
        assert {text.wording.chat for text in source.texts} == {ChatTemplate(f"{tmp_path}/mine.yaml:9")}
    with_slots = load(tmp_path, inline(TEMPLATE) + SLOTS + CHAT).prompts
    assert isinstance(with_slots, TemplatePrompts)
    assert with_slots.draw(np.random.default_rng(0)).wording.chat is not None


def test_a_tokenizer_without_a_chat_template_is_refused_in_one_message_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadPrompts) as caught:
        load(tmp_path, four() + CHAT).build(ToyTokenizer((" b", " c", " d", " e")), 2, 0)
    assert str(caught.value).replace(f"{tmp_path}/", "") == (
        "mine.yaml:9: the tokenizer has no chat template: got a tokenizer without one, wanted one of a chat model; "
        "leave out `template`, or use a chat model (--model)."
    )


def test_a_template_that_is_not_known_is_refused(tmp_path: Path) -> None:
    assert told(tmp_path, four() + "template: chatty\n") == [
        "mine.yaml:9: 'template' says nothing known: got 'chatty', wanted chat (the tokenizer's own chat template); "
        "leave it out where prompts are put as they are."
    ]


def test_a_file_without_prompts_is_told_what_is_missing(tmp_path: Path) -> None:
    assert told(tmp_path, HEAD) == ["mine.yaml:1: missing key: got nothing, wanted 'prompts'; add 'prompts'."]


def test_everything_wrong_with_a_jsonl_is_told_with_its_line(tmp_path: Path) -> None:
    rows = """\
{"clean": "a b", "corrupt": "a c", "answer": 7, "distractor": " e"}

{"clean": "a b", "corrupt": "a c", "answer": " d"
["a b", "a c"]
{"clean": "b b", "corrupt": "b c", "answer": [" d", null], "distractors": " e", "position": true}
{"clean": {"text": "c b"}, "corrupt": "", "answer": " d", "distractor": " d"}
"""
    assert told(tmp_path, HEAD + "prompts: rows.jsonl\nsize: 3\n", rows_jsonl=rows) == [
        "mine.yaml:5: unknown key: got 'size', wanted one of the known keys; known: name, model, metric, prompts, "
        "about, answers, template, slots, spans, variations.",
        "rows.jsonl:1: 'answer' is not a text: got 7, wanted a text of at least one character; write it in quotes.",
        "rows.jsonl:3: this row is not JSON: got the complaint \"Expecting ',' delimiter\" at column 50, wanted one "
        "JSON object per line; correct the row.",
        'rows.jsonl:4: this row is not an object: got a list of 2, wanted an object such as {"clean": "...", ...}; '
        "name its fields.",
        "rows.jsonl:5: 'answer' is not a text: got nothing, wanted a text of at least one character; write it in "
        "quotes.",
        "rows.jsonl:5: missing key: got nothing, wanted 'distractor'; add 'distractor'.",
        "rows.jsonl:5: 'position' is not a place: got true, wanted a whole number; write -1 for the last token or "
        "leave it out.",
        "rows.jsonl:5: unknown key: got 'distractors', wanted one of the known keys; did you mean 'distractor'?",
        "rows.jsonl:6: 'clean' is not a text: got a mapping, wanted a text of at least one character; write it in "
        "quotes.",
        "rows.jsonl:6: 'corrupt' is not a text: got an empty text, wanted a text of at least one character; write "
        "it in quotes.",
        "rows.jsonl:6: an answer is a distractor too: got [' d'] in both, wanted answers that differ from the "
        "distractors; remove it from one of the two.",
    ]


def test_everything_wrong_with_a_csv_is_told_with_its_line(tmp_path: Path) -> None:
    table = 'clean,corrupt,answr,distractor,position\na b,a c, d, e,x\n"b\nb","b\nc", d, e,\nc b,c c, d\nd b,,f, e,\n'
    assert told(tmp_path, HEAD + "prompts: rows.csv\n", rows_csv=table) == [
        "rows.csv:1: unknown key: got 'answr', wanted one of the known keys; did you mean 'answer'?",
        "rows.csv:1: missing key: got nothing, wanted 'answer'; add 'answer'.",
        "rows.csv:2: 'position' is not a place: got 'x', wanted a whole number; write -1 for the last token or "
        "leave it out.",
        "rows.csv:6: this row has too many or too few cells: got 3 cells, wanted 5 as in the header; quote texts "
        "with commas.",
        "rows.csv:7: 'corrupt' is not a text: got an empty text, wanted a text of at least one character; write it "
        "in quotes.",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "",
            "mine.yaml: this is no behaviour file: got an empty file, wanted `key: value` lines; start from `acdc "
            "init`.",
        ),
        (
            "- a\n- b\n",
            "mine.yaml: this is no behaviour file: got a list of 2, wanted `key: value` lines; start from `acdc init`.",
        ),
        (
            "just words\n",
            "mine.yaml: this is no behaviour file: got 'just words', wanted `key: value` lines; start from `acdc "
            "init`.",
        ),
        (
            "name: mine\n\tmodel: x\n",
            'mine.yaml:2: this is not YAML: got the complaint "while scanning for the next token found character '
            "'\\\\t' that cannot start any token\", wanted valid YAML; put texts in quotes and check the indents.",
        ),
        (
            "name: 'mine\n",
            "mine.yaml:2: this is not YAML: got the complaint 'while scanning a quoted scalar found unexpected end "
            "of stream', wanted valid YAML; put texts in quotes and check the indents.",
        ),
        (
            "name: \x07\n",
            "mine.yaml: this is not YAML: got the complaint 'unacceptable character #x0007: special characters are "
            'not allowed in "<unicode string>", position 6\', wanted valid YAML; put texts in quotes and check the '
            "indents.",
        ),
        (
            "--- \na: 1\n---\nb: 2\n",
            "mine.yaml:3: this is not YAML: got the complaint 'expected a single document in the stream but found "
            "another document', wanted valid YAML; put texts in quotes and check the indents.",
        ),
        (
            "a: &a [*a]\n",
            "mine.yaml: this is nested too deep: got lists or mappings in each other without end, wanted lists "
            "and mappings that end; start from `acdc init`.",
        ),
        (
            b"name: mine\nmodel: caf\xe9\n",
            "mine.yaml:2: the behaviour file is not UTF-8: got the byte 0xe9, wanted UTF-8 text; save it as UTF-8.",
        ),
        (
            HEAD + "prompts: []\n",
            "mine.yaml:4: there are too few prompts: got 0, wanted at least 4: 2 for discovery and 2 for judgement; "
            "write more.",
        ),
        (
            HEAD + "prompts:\n",
            "mine.yaml:4: 'prompts' is of the wrong kind: got nothing, wanted a list of prompts or the path of a "
            ".jsonl or .csv file; list at least 4.",
        ),
        (
            HEAD + "prompts: {a: b}\n",
            "mine.yaml:4: 'prompts' is of the wrong kind: got a mapping, wanted a list of prompts or the path of a "
            ".jsonl or .csv file; list at least 4.",
        ),
        (
            HEAD + "prompts: rows.txt\n",
            "rows.txt: prompts cannot be read from this kind of file: got '.txt', wanted .jsonl or .csv; list the "
            "prompts in the file itself or in one of these.",
        ),
        (
            HEAD + "prompts: rows\n",
            "rows: prompts cannot be read from this kind of file: got no ending, wanted .jsonl or .csv; list the "
            "prompts in the file itself or in one of these.",
        ),
        (
            HEAD + "prompts: nowhere.csv\n",
            "nowhere.csv: the file of prompts cannot be read: got 'no such file or directory' from the system, "
            "wanted a readable file; correct the path.",
        ),
        (
            HEAD + "prompts: empty.csv\n",
            "empty.csv: the file of prompts is empty: got no header, wanted clean, corrupt, answer, distractor; "
            "write one.",
        ),
        (
            HEAD + "prompts: empty.jsonl\n",
            "mine.yaml:4: there are too few prompts: got 0, wanted at least 4: 2 for discovery and 2 for judgement; "
            "write more.",
        ),
        (
            HEAD + "prompts: header.csv\n",
            "mine.yaml:4: there are too few prompts: got 0, wanted at least 4: 2 for discovery and 2 for judgement; "
            "write more.",
        ),
        (
            HEAD + "prompts: quote.csv\n",
            "quote.csv:6: this row is not CSV: got unexpected end of data, wanted comma-separated values; put texts "
            'with commas in quotes and write " as "".',
        ),
        (
            HEAD + "prompts: latin.csv\n",
            "latin.csv:6: the file of prompts is not UTF-8: got the byte 0xe9, wanted UTF-8 text; save it as UTF-8.",
        ),
    ],
)
def test_a_file_that_cannot_be_used_at_all_is_one_sentence(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    beside: dict[str, str | bytes] = {
        "empty_csv": "",
        "empty_jsonl": "\n",
        "header_csv": "clean,corrupt,answer,distractor\n",
        "quote_csv": TABLE + '"a b,a c, d, e\n',
        "latin_csv": TABLE.encode() + b"caf\xe9 b,a c, d, e\n",
    }
    assert told(tmp_path, text, **beside) == [sentence]


def test_a_file_or_folder_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.yaml", "no such file or directory"), (tmp_path, "is a directory")):
        with pytest.raises(BadBehaviourFile) as caught:
            load_behaviour_file(path)
        assert str(caught.value) == (
            f"{path}: the behaviour file cannot be read: got {reason!r} from the system, wanted a readable file; "
            "correct the path."
        )


def test_the_example_is_a_task_of_enough_prompts(tmp_path: Path) -> None:
    task = load(tmp_path, example("mine"))
    assert (task.name, task.model, task.metric) == ("mine", "everyday-4l", "logit_difference")
    assert len(listed(task).texts) >= 12


def test_the_example_names_every_metric() -> None:
    assert all(name in example("mine") for name in metric_names())


def test_the_example_has_only_words_that_its_model_was_trained_on(tmp_path: Path) -> None:
    known = {"I", "think", "that", "The", "the", " is", " are", *NOUNS, *NOUNS.values(), *PREPOSITIONS}
    task = load(tmp_path, example("mine"))
    [edge_case] = task.variations
    assert isinstance(edge_case.prompts, ListedPrompts)
    for text in (*listed(task).texts, *edge_case.prompts.texts):
        assert {*text.clean.split(), *text.corrupt.split(), *text.answers, *text.distractors} <= known


@pytest.mark.parametrize(
    ("name", "written"),
    [("my behaviour", "my_behaviour"), ("null", "null"), ("../7", "7"), ("é", "my_behaviour"), ("a-b.c", "a_b_c")],
)
def test_the_example_can_be_called_anything(tmp_path: Path, name: str, written: str) -> None:
    assert load(tmp_path, example(name)).name == written


ROW = '{clean: "%s b", corrupt: "%s c", answer: " d", distractor: " e"}'


def varied(*lines: str) -> str:
    return four() + "variations:\n" + "".join(f"  {line}\n" for line in lines)


def test_a_file_names_its_edge_cases(tmp_path: Path) -> None:
    rows = f"[{ROW % ('5', '5')}, {ROW % ('6', '6')}]"
    text = varied(f"far away: {{about: Far., prompts: {rows}}}", "a table: {about: All., prompts: rows.jsonl}")
    far, table = load(tmp_path, text, rows_jsonl=ROWS).variations
    assert (far.name, far.about) == ("far away", "Far.")
    assert isinstance(far.prompts, ListedPrompts)
    assert [text.clean for text in far.prompts.texts] == ["5 b", "6 b"]
    assert isinstance(table.prompts, ListedPrompts)
    assert table.prompts.texts == TEXTS


def test_everything_wrong_with_edge_cases_is_told_with_its_line(tmp_path: Path) -> None:
    text = varied(
        f"one: {{about: Only one., prompts: [{ROW % ('5', '5')}]}}",
        "two: far",
        "three: {abuot: Far., prompts: rows.txt}",
        "four: {about: '', prompts: {a: b}}",
        "five: {about: Five., prompts: rows.jsonl}",
        "five: {about: Again., prompts: rows.jsonl}",
    )
    assert told(tmp_path, text, rows_jsonl=ROWS) == [
        "mine.yaml:10: there are too few prompts: got 1, wanted at least 2; write more.",
        "mine.yaml:11: 'variations.two' is wrong: got 'far', wanted a mapping with some of about, prompts; write it "
        "as `two: {...}`.",
        "mine.yaml:12: missing key in 'variations.three': got nothing, wanted 'about'; add 'about'.",
        "mine.yaml:12: unknown key: got 'abuot', wanted one of the known keys; did you mean 'about'?",
        "mine.yaml:13: 'about' is not a text: got an empty text, wanted a text of at least one character; write it in "
        "quotes.",
        "mine.yaml:13: 'prompts' is of the wrong kind: got a mapping, wanted a list of prompts or the path of a .jsonl "
        "or .csv file; list at least 2.",
        "mine.yaml:15: a key is given twice: got 'five', wanted every key once; remove one of the two.",
        "rows.txt: prompts cannot be read from this kind of file: got '.txt', wanted .jsonl or .csv; list the prompts "
        "in the file itself or in one of these.",
    ]


def test_edge_cases_of_another_kind_are_refused(tmp_path: Path) -> None:
    assert told(tmp_path, four() + "variations: [far]\n") == [
        "mine.yaml:9: 'variations' is of the wrong kind: got a list of 1, wanted a mapping of names to edge cases; "
        "write `NAME: {about: ..., prompts: [...]}`.",
    ]


TEMPLATE = '{clean: "{one} and {other} x", corrupt: "{other} and {one} x", answer: " {one}", distractor: " {other}"}'
SLOTS = "slots: {one: [a, b], other: [a, b, c]}\n"


def templates(task: Task) -> TemplatePrompts:
    assert isinstance(task.prompts, TemplatePrompts)
    return task.prompts


def test_prompts_with_slots_are_templates(tmp_path: Path) -> None:
    prompts = templates(load(tmp_path, inline(TEMPLATE) + SLOTS))
    rng = np.random.default_rng(0)
    drawn = {prompts.draw(rng) for _ in range(100)}
    assert {pair.clean for pair in drawn} == {"a and b x", "a and c x", "b and a x", "b and c x"}
    for pair in drawn:
        words = dict(pair.wording.filling)
        assert pair.corrupt == f"{words['other']} and {words['one']} x"
        assert (pair.answers, pair.distractors) == ((f" {words['one']}",), (f" {words['other']}",))
        assert prompts.slots is not None
        assert prompts.slots.write(words) == pair


def test_a_template_may_leave_a_slot_out(tmp_path: Path) -> None:
    short = '{clean: "{other} x", corrupt: "x x", answer: " {other}", distractor: " d", template: short}'
    prompts = templates(load(tmp_path, inline(TEMPLATE, short) + SLOTS))
    rng = np.random.default_rng(0)
    drawn = {(pair.wording.template, pair.clean) for pair in (prompts.draw(rng) for _ in range(100))}
    assert {clean for template, clean in drawn if template == "short"} == {"a x", "b x", "c x"}
    assert {template for template, _ in drawn} == {"1", "short"}


def test_edge_cases_have_the_same_slots(tmp_path: Path) -> None:
    text = inline(TEMPLATE) + SLOTS + f"variations: {{again: {{about: Again., prompts: [{TEMPLATE}]}}}}\n"
    [again] = load(tmp_path, text).variations
    assert isinstance(again.prompts, TemplatePrompts)
    assert " and " in again.prompts.draw(np.random.default_rng(0)).clean


def test_braces_are_braces_without_slots(tmp_path: Path) -> None:
    row = '{clean: "{a} b", corrupt: "{a} c", answer: " d", distractor: " e"}'
    assert listed(load(tmp_path, four(row))).texts[0].clean == "{a} b"


def test_everything_wrong_with_slots_is_told_with_its_line(tmp_path: Path) -> None:
    text = inline(TEMPLATE.replace("{other} and", "{othr} and")) + (
        "slots:\n  one: [a]\n  other: [a, b]\n  third: a\n  fourth: [a, [b], c]\n  template: [a, b]\n"
    )
    wanted = "wanted a list of at least two different words; write `[WORD, WORD]`."
    assert told(tmp_path, text) == [
        "mine.yaml:5: a prompt has an unknown slot: got 'othr', wanted the name of a slot; did you mean "
        "'other' or 'third' or 'fourth'?",
        f"mine.yaml:7: the slot 'one' cannot be filled: got a list of 1, {wanted}",
        f"mine.yaml:9: the slot 'third' cannot be filled: got 'a', {wanted}",
        f"mine.yaml:10: the slot 'fourth' cannot be filled: got a word that is no text, {wanted}",
        "mine.yaml:11: a slot is called like the choice of a prompt: got 'template', wanted another name; rename it.",
    ]


def test_slots_of_another_kind_are_refused(tmp_path: Path) -> None:
    assert told(tmp_path, four() + "slots: a\n") == [
        "mine.yaml:9: 'slots' is of the wrong kind: got 'a', wanted a mapping of names to lists of words, or a list "
        "of rows of words that go together; write `NAME: [WORD, WORD]` or `- {NAME: WORD, NAME: WORD}`.",
    ]


CAPITALS = {"France": "Paris", "Japan": "Tokyo", "Egypt": "Cairo"}
FACT = (
    '{clean: "The capital of {country} is", corrupt: "The capital of {other country} is", '
    'answer: " {capital}", distractor: " {other capital}"}'
)
LINKED = "slots:\n" + "".join(f"  - {{country: {c}, capital: {city}}}\n" for c, city in CAPITALS.items())


def test_words_of_a_row_stay_together_and_the_corrupt_prompt_is_another_row(tmp_path: Path) -> None:
    prompts = templates(load(tmp_path, inline(FACT) + LINKED))
    drawn = {prompts.draw(np.random.default_rng(seed)) for seed in range(60)}
    assert len(drawn) == 6
    for pair in drawn:
        country, other = pair.clean.split()[3], pair.corrupt.split()[3]
        assert country != other
        assert (pair.answers, pair.distractors) == ((f" {CAPITALS[country]}",), (f" {CAPITALS[other]}",))


def test_an_attack_changes_whole_rows(tmp_path: Path) -> None:
    slots = load(tmp_path, inline(FACT) + LINKED).slots
    assert slots is not None
    pair = slots.draw(np.random.default_rng(0))
    around = [other for _, _, other in neighbours_of(slots, pair)]
    assert len(around) == 2, "the third row on either side"
    for other in around:
        assert other.answers == (f" {CAPITALS[other.clean.split()[3]]}",)
        assert other.distractors == (f" {CAPITALS[other.corrupt.split()[3]]}",)


def test_rows_and_free_words_go_together(tmp_path: Path) -> None:
    row = FACT.replace("The capital", "{word} capital")
    text = inline(row) + "slots:\n  word: [The, A]\n  place:" + LINKED.removeprefix("slots:").replace("  -", "    -")
    slots = load(tmp_path, text).slots
    assert slots is not None
    assert {name: len(words) for name, words in slots.choices.items()} == {
        "word": 2,
        "place": 3,
        "other place": 3,
        "template": 1,
    }
    assert {slots.draw(np.random.default_rng(seed)).clean.split()[0] for seed in range(20)} == {"The", "A"}


def test_everything_wrong_with_rows_is_told_with_its_line(tmp_path: Path) -> None:
    text = inline(FACT) + (
        "slots:\n  - {country: France, capital: Paris}\n  - {country: Japan, city: Tokyo}\n"
        "  - {capital: Paris, country: France}\n  - {country: Egypt, capital: [Cairo]}\n  - Rome\n"
    )
    same = "wanted a word for each of country, capital, as in the first row; give every row the same names."
    assert told(tmp_path, text) == [
        f"mine.yaml:8: a row of words differs from the others: got a row with country, city, {same}",
        "mine.yaml:9: a row of words is given twice: got that of mine.yaml:7 again, wanted every row once; remove one "
        "of the two.",
        "mine.yaml:10: a row has a word that is no text: got a row with another kind, wanted a text of at least one "
        "character for each name; write it.",
        f"mine.yaml:11: a row of words differs from the others: got 'Rome', {same}",
    ]
    one = told(tmp_path, inline(FACT) + "slots: [{country: France, capital: Paris}]\n")
    assert one == [
        "mine.yaml:6: too few rows of words: got 1, wanted at least two rows; write `- {NAME: WORD, NAME: WORD}`."
    ]
    both = told(tmp_path, inline(FACT) + "slots: {country: [a, b], x: [{country: c, capital: d}, "
                "{country: e, capital: f}]}\n")  # fmt: skip
    assert both == [
        "mine.yaml:6: two slots have one name: got 'country', wanted every name once; rename one of the two."
    ]


SPANS = """\
name: capitals
model: everyday-4l
metric: kl
slots: {country: [France, Japan, Spain], city: [Rome, Oslo, Bern]}
spans: [SPAN]
prompts:
  - {clean: "{country} and {city} and", corrupt: "{city} and {city} and", answer: " a", distractor: " b"}
"""


def test_a_file_says_at_which_slots_edges_may_be_by_position(tmp_path: Path) -> None:
    path = tmp_path / "capitals.yaml"
    path.write_text(SPANS.replace("SPAN", "country"))
    pair = load_behaviour_file(path).prompts.slots.draw(np.random.default_rng(0))  # type: ignore[attr-defined]
    assert pair.wording.spans == ("country",)
    path.write_text(SPANS.replace("spans: [SPAN]\n", ""))
    assert load_behaviour_file(path).prompts.slots.draw(np.random.default_rng(0)).wording.spans is None  # type: ignore[attr-defined]


def test_a_span_that_is_no_slot_is_refused_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "capitals.yaml"
    path.write_text(SPANS.replace("SPAN", "contry"))
    with pytest.raises(BadBehaviourFile, match=r"capitals.yaml:5: a span is no slot: got 'contry'.*'country'"):
        load_behaviour_file(path)
