"""From a contrastive pair of texts to checked tokens, for any tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

from acdc.tasks.chat import in_chat
from acdc.tasks.encoding import Encoded, of_other_lengths, shown
from acdc.tasks.errors import BadPrompts, PromptProblem
from acdc.tasks.first_tokens import at_first_difference, first_tokens
from acdc.tasks.pairs import AnswersAs, ScoredPosition
from acdc.tasks.pairs import TextPair as TextPair
from acdc.tasks.pairs import Tokenizer as Tokenizer
from acdc.tasks.pairs import TokenPair as TokenPair
from acdc.tasks.token_ids import is_token_ids, read
from acdc.tasks.whole import of_whole, overlaps

_OTHER_WORDS = (
    "use a word that this tokenizer writes as one token, or measure first tokens (answers: first-token), the first "
    "that differ (answers: first-difference) or whole answers (answers: whole)"
)


def tokenise(text: TextPair, tokenizer: Tokenizer | None) -> tuple[TokenPair | None, tuple[PromptProblem, ...]]:
    """Return the pair in tokens, or None and every reason why this tokenizer cannot express it.

    Special tokens are those the tokenizer itself puts before a text, once; what it puts after a text (EOS) is
    left out, as the answer goes there. The text of what is returned says what is measured: a prompt in its chat
    template, and answers without what is not looked at. A pair of token ids is what it says, whatever the tokenizer.

    Raises: BadPrompts when there is no tokenizer for a text, none that writes it in one way, or no chat template for
    one that needs it.
    """
    if is_token_ids(text):
        return read(text)
    if tokenizer is None:
        raise BadPrompts(
            PromptProblem(
                "a prompt of text needs a tokenizer",
                "a model that has none",
                "prompts as token ids",
                "use a task whose prompts are `tasks.TokenPrompts`, or give the model a tokenizer",
            )
        )
    text = in_chat(text, tokenizer)
    clean = Encoded.of(text.clean, tokenizer)
    if text.scoring.answers_as == "first-difference":
        text = at_first_difference(text, clean, tokenizer)
        clean = clean if text.clean == clean.text else Encoded.of(text.clean, tokenizer)
    corrupt = Encoded.of(text.corrupt, tokenizer)
    problems = [*clean.problems("clean", tokenizer), *corrupt.problems("corrupt", tokenizer)]

    problems += [*_unlike(clean, corrupt, tokenizer), *_misplaced(text, clean, tokenizer)]
    measured = text
    if text.scoring.answers_as == "first-token":
        cut = [first_tokens(words, clean, tokenizer, problems) for words in (text.answers, text.distractors)]
        measured = replace(text, answers=cut[0], distractors=cut[1])
    continuing = _Continuing(clean, tokenizer, text.scoring.answers_as, problems)
    answers = continuing.each("answer", measured.answers)
    distractors = continuing.each("distractor", measured.distractors)
    kind = " as first token" if text.scoring.answers_as == "first-token" else ""
    problems += overlaps(answers, distractors, lambda ids: f"{tokenizer.convert_ids_to_tokens(ids)}", kind)
    if problems:
        return None, tuple(problems)
    if text.scoring.answers_as == "whole":
        return of_whole(text, clean.ids, corrupt.ids, answers, distractors), ()
    right, wrong = (tuple(token for (token,) in words) for words in (answers, distractors))
    scored = ScoredPosition(clean.start + text.scoring.position % clean.own, right, wrong)
    return TokenPair(clean.ids, corrupt.ids, (scored,), measured), ()


def as_measured(text: TextPair, tokenizer: Tokenizer) -> TextPair:
    """The pair with prompts in their chat template, and up to where answers and distractors differ, if that is asked.

    Raises: BadPrompts when the tokenizer has no chat template for one that needs it.
    """
    text = in_chat(text, tokenizer)
    if text.scoring.answers_as == "first-difference":
        return at_first_difference(text, Encoded.of(text.clean, tokenizer), tokenizer)
    return text


def _unlike(clean: Encoded, corrupt: Encoded, tokenizer: Tokenizer) -> Iterator[PromptProblem]:
    """Why two prompts do not make a pair."""
    if clean.ids == corrupt.ids:
        yield PromptProblem(
            "clean and corrupt prompt are identical",
            f"{shown(clean.ids, tokenizer)} for both",
            "prompts that differ",
            "change what the behaviour depends on in the corrupt prompt",
        )
    elif len(clean.ids) != len(corrupt.ids):
        yield PromptProblem(
            "clean and corrupt prompt differ in length",
            f"{shown(clean.ids, tokenizer)} and {shown(corrupt.ids, tokenizer)}",
            "as many tokens in both",
            "replace words only by words of as many tokens",
            words=of_other_lengths(clean.text, corrupt.text, tokenizer),
        )


def _misplaced(text: TextPair, clean: Encoded, tokenizer: Tokenizer) -> Iterator[PromptProblem]:
    """Why a prompt cannot be scored where it is to be."""
    own = clean.own
    if not -own <= text.scoring.position < own:
        yield PromptProblem(
            "the scored position is outside the prompt",
            f"{text.scoring.position} in {shown(clean.ids[clean.start :], tokenizer)}",
            f"{-own} to {own - 1}" if own else "a prompt with tokens",
            "use -1 for the last token",
        )
    elif text.scoring.answers_as == "whole" and text.scoring.position % own != own - 1:
        wanted, remedy = "-1, the last", "end the prompt where its answer begins"
        yield PromptProblem(
            "a whole answer can only follow the end of its prompt", str(text.scoring.position), wanted, remedy
        )


@final
@dataclass(frozen=True)
class _Continuing:
    """What continues a clean prompt: each word as the tokens by which it does, or a problem that it does not."""

    clean: Encoded
    tokenizer: Tokenizer
    answers_as: AnswersAs
    problems: list[PromptProblem]

    def each(self, role: str, words: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        """The tokens of each word that can be measured: one token, unless words are measured whole."""
        unknown: int | None = getattr(self.tokenizer, "unk_token_id", None)
        known: list[tuple[int, ...]] = []
        for word in words:
            joined = self.clean.joined(word, self.tokenizer)
            added = joined[len(self.clean.ids) :]
            got = f"{word!r} -> {self.tokenizer.convert_ids_to_tokens(list(added))}"
            if joined[: len(self.clean.ids)] != self.clean.ids:
                what = f"the {role} changes the tokens of the prompt before it"
                got = f"{word!r} -> {self.tokenizer.convert_ids_to_tokens(list(joined))}"
                remedy = "start it with a space and let the prompt end without one"
            elif not added or (self.answers_as != "whole" and len(added) > 1):
                what, remedy = f"the {role} is not one token", _OTHER_WORDS
                if not word.startswith(" "):
                    remedy = f"start it with a space or {remedy}"
            elif unknown in added and self.tokenizer.convert_ids_to_tokens([unknown])[0] not in word:
                what = f"the {role} is a word that the tokenizer does not know"
                remedy = "use a word of the model's vocabulary"
            elif added in known:
                what, remedy = f"the {role} is given twice", "name each once"
            else:
                known.append(added)
                continue
            wanted = "tokens" if self.answers_as == "whole" else "one token"
            wanted = f"{wanted} of its own after the clean prompt"
            self.problems.append(PromptProblem(what, got, wanted, remedy, words=(word,)))
        return tuple(known)
