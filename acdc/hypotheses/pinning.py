"""A counterexample added to the text of a hypothesis file, which otherwise stays as it is, comments and all."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from acdc.errors import UnwritableOutput
from acdc.graphs.ablation import Ablation
from acdc.graphs.roles import UNLABELLED
from acdc.tasks.tokenisation import TextPair

if TYPE_CHECKING:
    from collections.abc import Mapping

    from acdc.attacks.file import RecordedAttack
    from acdc.graphs.nodes import Node
    from acdc.graphs.roles import NodeRole

_KIND = "counterexamples"


def pinned(text: str, pair: TextPair, at_most: float | None) -> str:
    """The text of a hypothesis file that also claims this prompt; the same text where it does so already.

    `at_most` bounds the KL divergence on the worst of all prompts claimed so (None: the bound that is there).

    Raises: UnwritableOutput when the file is so written that nothing can be added to it.
    """
    before = yaml.load(text, yaml.BaseLoader)  # it makes nothing but texts, lists and mappings
    after = _wanted(before, pair, at_most)
    root = yaml.compose(text, yaml.BaseLoader)
    claims = _under(root, "claims")
    there = _under(claims, _KIND)
    bound, prompts = _under(there, "at_most"), _under(there, "prompts")
    prompt = _flow(after["claims"][_KIND]["prompts"][-1])
    changed = text
    if there is None:
        assert at_most is not None
        flow = f"{_KIND}: {{at_most: {at_most:.6g}, prompts: [{prompt}]}}"
        changed = _added(text, claims, _block(prompt, at_most), flow)
    else:
        if len(after["claims"][_KIND]["prompts"]) > len(before["claims"][_KIND]["prompts"]):
            changed = _added(text, prompts, [f"- {prompt}"], prompt)
        if at_most is not None and bound is not None:  # it stands where it stood, unless it stood after the prompts
            bound = _under(_under(_under(yaml.compose(changed, yaml.BaseLoader), "claims"), _KIND), "at_most")
            assert bound is not None
            changed = changed[: bound.start_mark.index] + f"{at_most:.6g}" + changed[bound.end_mark.index :]
    if _read(changed) != after:
        raise UnwritableOutput(
            f"nothing can be added to the file as it is written: got claims in an unusual form, wanted one key a line; "
            f"add the prompt by hand, under claims.{_KIND}.prompts: {prompt}"
        )
    return changed


def started(found: RecordedAttack, pair: TextPair, at_most: float, folder: Path, roles: Mapping[Node, NodeRole]) -> str:
    """The text of a new hypothesis file for that folder: it claims this prompt, and the roles that the circuit has."""

    def beside(path: str | Path) -> str:
        return json.dumps(Path(os.path.relpath(path, folder)).as_posix(), ensure_ascii=False)

    setup, origin = found.setup, found.origin
    task, model = origin.task_name(), origin.model_name()
    measured = {
        "metric": setup.metric,
        "ablation": Ablation(setup.ablation).value,
        "prompts": setup.prompts,
        "seed": setup.seed,
        "dtype": setup.compute.dtype,
        **({"only_correct": "true"} if setup.only_correct else {}),
    }
    labelled = {node: role.role for node, role in roles.items() if role.role != UNLABELLED}
    lines = [
        "about: The circuit does what the model does where an attack found that it did not.",
        f"task: {beside(task) if origin.task and origin.task.file else task}",
        f"model: {beside(model) if Path(model).is_dir() else json.dumps(model)}",
        f"circuit: {beside(found.circuit.file)}",
        f"setup: {{{', '.join(f'{name}: {value}' for name, value in measured.items())}}}",
        "claims:",
        *(f"  {line}" for line in _block(_flow(entry(pair)), at_most)),
        *(["  roles:"] if labelled else []),
        *(f"    {node.name}: {role}" for node, role in labelled.items()),
    ]
    return "\n".join(lines) + "\n"


def entry(pair: TextPair) -> dict[str, Any]:
    """A prompt as hypothesis files write it."""
    answers, distractors = ((list(words) if len(words) > 1 else words[0]) for words in (pair.answers, pair.distractors))
    scoring = pair.scoring
    more: dict[str, Any] = {} if scoring.position == -1 else {"position": scoring.position}
    more |= {"answers": "whole"} if scoring.answers_as == "whole" else {}
    return {"clean": pair.clean, "corrupt": pair.corrupt, "answer": answers, "distractor": distractors, **more}


def _wanted(before: Any, pair: TextPair, at_most: float | None) -> Any:
    """What the file is to say, with numbers as texts."""
    after = copy.deepcopy(before)
    claim = after["claims"].setdefault(_KIND, {"prompts": []})
    if at_most is not None:
        claim["at_most"] = f"{at_most:.6g}"
    prompt = {name: str(value) if isinstance(value, int) else value for name, value in entry(pair).items()}
    if prompt not in claim["prompts"]:
        claim["prompts"].append(prompt)
    return after


def _read(text: str) -> Any:
    try:
        return yaml.load(text, yaml.BaseLoader)  # as above
    except yaml.YAMLError:
        return None


def _block(prompt: str, at_most: float) -> list[str]:
    return [f"{_KIND}:", f"  at_most: {at_most:.6g}", "  prompts:", f"    - {prompt}"]


def _flow(prompt: dict[str, Any]) -> str:
    """A mapping in one line; JSON's texts are YAML's, and so are its lists."""
    parts = (
        f"{name}: {value if name == 'position' else json.dumps(value, ensure_ascii=False)}"
        for name, value in prompt.items()
    )
    return f"{{{', '.join(parts)}}}"


def _under(node: yaml.Node | None, name: str) -> yaml.Node | None:
    """The value of a key in a mapping."""
    items = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for key, value in items if key.value == name), None)


def _added(text: str, to: yaml.Node | None, block: list[str], flow: str) -> str:
    """The text with one more item in a list or a mapping: lines of a block, or, in braces, the flow form."""
    assert isinstance(to, yaml.CollectionNode)
    last = _last(to)
    end = last.end_mark.index
    if to.flow_style:
        return f"{text[:end]}, {flow}{text[end:]}"
    if text[end - 1] != "\n":  # a comment may follow on the line
        end = text.find("\n", end) + 1 or len(text)
    new = "\r\n" if "\r\n" in text else "\n"
    indent = " " * to.start_mark.column
    lines = "".join(f"{indent}{line}{new}" for line in block)
    return text[:end] + (new if text[end - 1] != "\n" else "") + lines + text[end:]


def _last(node: yaml.CollectionNode) -> yaml.Node:
    """What stands last in a list or a mapping; where that is a block, what stands last in it, as a block ends late."""
    item = node.value[-1]
    last: yaml.Node = item[1] if isinstance(node, yaml.MappingNode) else item
    if isinstance(last, yaml.CollectionNode) and not last.flow_style and last.value:
        return _last(last)
    return last
