"""Chat models' templates: prompts as the turns of a conversation that the model is to answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

from acdc.tasks.errors import BadPrompts, PromptProblem
from acdc.tasks.pairs import ChatTemplate, TextPair, Tokenizer

_STAND_IN = "\ue000"
"""A character of no language, by which the place of a prompt in its template is found."""


def in_chat(text: TextPair, tokenizer: Tokenizer) -> TextPair:
    """The pair with its prompts as what a user says, in the tokenizer's own chat template, up to where answers go.

    The template's tokens are written out in the texts, but for those that the tokenizer itself puts before a text. A
    position of 0 or more is counted from the first token of what the user says.

    Raises: BadPrompts when the tokenizer has no chat template, or one that cannot be used.
    """
    chat = text.wording.chat
    if chat is None or chat.applied:
        return text
    template = _Template(chat, tokenizer)
    before, clean = template.around(text.clean)
    position = text.scoring.position
    if position >= 0:
        position += len(tokenizer.encode(before, add_special_tokens=False))
    corrupt = template.around(text.corrupt)[1]
    return replace(
        text,
        clean=clean,
        corrupt=corrupt,
        scoring=replace(text.scoring, position=position),
        wording=replace(text.wording, chat=replace(chat, applied=True)),
    )


@final
@dataclass(frozen=True)
class _Template:
    chat: ChatTemplate
    tokenizer: Any

    def around(self, prompt: str) -> tuple[str, str]:
        """What comes before the prompt in its template, and all of it."""
        before = self._rendered(_STAND_IN).partition(_STAND_IN)[0]
        whole = self._rendered(prompt)
        if not whole.startswith(before + prompt.strip()):
            wanted, remedy = "the prompt as it is", "write prompts without what the template changes"
            raise self._unusable("the chat template changes a prompt", repr(whole), wanted, remedy)
        meant = self.tokenizer.encode(whole, add_special_tokens=False)
        for dropped in self._added_before():
            before, whole = before.removeprefix(dropped), whole.removeprefix(dropped)
        written = self.tokenizer.encode(whole, add_special_tokens=True)
        if written[: len(meant)] != meant:
            added, plain = (self.tokenizer.convert_ids_to_tokens(ids[:3]) for ids in (written, meant))
            got = f"{added} for {plain}"
            wanted, remedy = "the tokens of the chat template", "write the template into the prompts yourself"
            raise self._unusable("this tokenizer adds special tokens to its chat template", got, wanted, remedy)
        return before, whole

    def _added_before(self) -> list[str]:
        """The special tokens that the tokenizer puts before every text."""
        own, whole = (self.tokenizer.encode("a", add_special_tokens=special) for special in (False, True))
        start = next((at for at in range(len(whole)) if whole[at : at + len(own)] == own), 0)
        return [str(token) for token in self.tokenizer.convert_ids_to_tokens(whole[:start])]

    def _rendered(self, prompt: str) -> str:
        if not getattr(self.tokenizer, "chat_template", None):
            remedy = "leave out `template`, or use a chat model (--model)"
            what, wanted = "the tokenizer has no chat template", "one of a chat model"
            raise self._unusable(what, "a tokenizer without one", wanted, remedy)
        said = [{"role": "user", "content": prompt}]
        try:
            rendered = self.tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template is a program of somebody else's, and raises what it likes
            got = f"{type(error).__name__} ({error})"
            wanted, remedy = "a conversation with its prompt", "leave out `template`, or use another model (--model)"
            raise self._unusable("the chat template cannot be used", got, wanted, remedy) from error
        return str(rendered)

    def _unusable(self, what: str, got: str, wanted: str, remedy: str) -> BadPrompts:
        return BadPrompts(PromptProblem(what, got, wanted, remedy, self.chat.index))
