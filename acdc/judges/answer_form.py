"""Does the model prefer the answers with or without their leading space to what the prompts say?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from acdc.tasks.token_ids import is_token_ids
from acdc.tasks.tokenisation import tokenise

if TYPE_CHECKING:
    from acdc.problem import Problem
    from acdc.tasks.pairs import TextPair, Tokenizer


@dataclass(frozen=True)
class AnswerForm:
    """The model's mean probability of the answers as they are given, and of the same words in the other form.

    The other form has no leading space where the given one has it, and one where it has none. `given` and `other` are
    such a pair of words, and the means are over the `prompts` that have one which the tokenizer writes as one token.
    """

    given: str
    other: str
    given_probability: float
    other_probability: float
    prompts: int

    @property
    def prefers_other(self) -> bool:
        """Whether the model finds the other form likelier."""
        return self.other_probability > self.given_probability

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return asdict(self)


def answer_form(problem: Problem) -> AnswerForm | None:
    """Measure both forms on a problem's prompts; None without a tokenizer, or where no other form is one token.

    Answers that are measured whole are left out.
    """
    tokenizer = problem.model.tokenizer
    if tokenizer is None:
        return None
    given, other, example = [], [], None
    for prompts, reference in problem.references():
        likely = reference.double().softmax(-1)
        for row, number in enumerate(prompts.index.tolist()):
            pair = problem.pairs.pairs[number]
            if is_token_ids(pair.text) or pair.whole:
                continue
            words = _other_forms(pair.text, len(pair.clean), tokenizer)
            tokens = [token for _, _, token in words if token not in (*pair.answers, *pair.distractors)]
            if tokens and max(tokens) < likely.shape[-1]:
                example = example or words[0][:2]
                given.append(float(likely[row, list(pair.answers)].sum()))
                other.append(float(likely[row, list(dict.fromkeys(tokens))].sum()))
    if example is None:
        return None
    count = len(given)
    return AnswerForm(*example, sum(given) / count, sum(other) / count, count)


def _other_forms(text: TextPair, length: int, tokenizer: Tokenizer) -> list[tuple[str, str, int]]:
    """The answers whose other form is one known token after the clean prompt: both forms, and the token."""
    found = []
    for word in text.answers:
        other = word[1:] if word.startswith(" ") else f" {word}"
        if not other or other in text.answers + text.distractors:
            continue
        pair, _ = tokenise(replace(text, answers=(other,)), tokenizer)
        if pair is not None and len(pair.clean) == length:
            found.append((word, other, pair.answers[0]))
    return found
