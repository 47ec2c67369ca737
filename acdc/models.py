"""Models by name: shipped, pretrained, compiled from a program, in a directory or a GGUF file, or on the hub."""

from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acdc import tasks
from acdc.errors import AcdcError, BadSetting, UnknownModel
from acdc.graphs.configuration import graph_of_checkpoint
from acdc.graphs.errors import BadDevices
from acdc.graphs.shapes import ModelShape, shape_of_checkpoint
from acdc.ground_truth import programs
from acdc.pretrained import cache, getting, registry
from acdc.settings import Compute, Setup

if TYPE_CHECKING:
    import torch

    from acdc.graphs.computation import ComputationalGraph
    from acdc.graphs.model import Model

# a hub name is `owner/name`, or one of the few that the hub knows without an owner; each with `@revision` if wanted
_HUB = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_OWNERLESS = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "distilgpt2")

_PLANTED = re.compile(r"planted(-\w+)?:")
_GGUF = ".gguf"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shipped:
    """A model that comes with the package: its name, directory, size, and what its card says it does."""

    name: str
    path: Path
    layers: int
    heads: int
    megabytes: float
    about: str


def available() -> tuple[Shipped, ...]:
    """The models that come with the package."""
    return tuple(_shipped(name) for name in tasks.shipped_models())


def resolve(name: str) -> str:
    """What to load a model of that name from: a shipped or pretrained one's directory, a directory, a GGUF file, or a
    hub name with its revision.

    The name of a compiled program's model (`tracr:reverse`) or of a planted one (`planted:0`) is itself.

    A directory or a file may begin with `~`.

    Raises: UnknownModel, with the nearest names, for what can be none of these, and for a pretrained model that has not
    been got yet.
    """
    name = expanded(name)
    known = tasks.shipped_models()
    if name in known:
        return str(tasks.shipped_model(name))
    if name in registry.KNOWN:
        return str(getting.required(name))
    if name.startswith(programs.PREFIX):
        programs.check_program(name.removeprefix(programs.PREFIX))
        return name
    if _PLANTED.match(name):
        from acdc.ground_truth import planted

        planted.parse(name)
        return name
    if name.endswith(_GGUF) and not os.path.exists(name):
        raise UnknownModel(f"there is no GGUF file {name}; give the path of one, or another model's name")
    if os.path.isdir(name) or is_gguf(name) or _HUB.fullmatch(name) or name.split("@")[0] in _OWNERLESS:
        return name
    close = get_close_matches(name.lower(), [*known, *registry.KNOWN, *_OWNERLESS], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"shipped models: {', '.join(known)}"
    raise UnknownModel(
        f"no model called {name!r}; wanted a shipped model, a checkpoint directory, a GGUF file or a hub name such as "
        f"'gpt2' or 'EleutherAI/pythia-70m@step3000'; {hint}"
    )


def is_known(name: str) -> bool:
    """Whether there may be a model of that name."""
    try:
        resolve(name)
    except AcdcError:
        return False
    return True


def name_of(model: Model) -> str:
    """The name that loads a model again where it has one, as people write it; the model's own name otherwise."""
    name, revision = model.identity.name, model.identity.revision
    for shipped in tasks.shipped_models():
        if Path(name) == tasks.shipped_model(shipped):
            return shipped
    for pretrained in registry.KNOWN.values():
        if Path(name) == cache.directory(pretrained.sha256):
            return pretrained.name
    return f"{name}@{revision}" if revision else name


def expanded(name: str) -> str:
    """The name, with the home directory for a `~` that it begins with."""
    return os.path.expanduser(name)


def graph_of(name: str) -> ComputationalGraph | None:
    """The graph of a model whose configuration is at hand, without its weights; None where that cannot be told."""
    directory = Path(resolve(name))
    return graph_of_checkpoint(directory) if directory.is_dir() else None


def shape_of(name: str) -> ModelShape | None:
    """The shape of a model whose configuration and weights are at hand, none of them read; None where it is not told.

    Raises: UnknownModel.
    """
    directory = Path(resolve(name))
    return shape_of_checkpoint(directory) if directory.is_dir() else None


def is_directory(name: str) -> bool:
    """Whether the name is a checkpoint directory's, and not a shipped or a compiled model's."""
    name = expanded(name)
    return name not in tasks.shipped_models() and not name.startswith(programs.PREFIX) and os.path.isdir(name)


def is_compiled(name: str) -> bool:
    """Whether the name is that of a model that is made from a program or planted, and read from no file."""
    return name.startswith(programs.PREFIX) or _PLANTED.match(name) is not None


def is_gguf(name: str) -> bool:
    """Whether the name is that of a GGUF file, llama.cpp's format."""
    return name.endswith(_GGUF) and os.path.isfile(expanded(name))


def tokenizer_of(name: str) -> Any:
    """The tokenizer of a shipped model or of a checkpoint directory; None where it takes more than a moment to have.

    What is wrong with a directory, or doubtful, is said by `load_named` and not here.
    """
    directory = Path(resolve(name))
    if not directory.is_dir() or not any(directory.glob("tokenizer*")):
        return None
    import transformers

    from acdc.graphs.model import library_messages

    try:
        with library_messages.collecting():
            return transformers.AutoTokenizer.from_pretrained(directory)
    except Exception:  # a damaged file surfaces as whatever the reader of it stumbles over
        return None


def load_model(
    name: str | os.PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    revision: str | None = None,
) -> Model:
    """The model of that name: every name that the command line takes for --model; `revision` is for hub names.

    A GGUF file is converted once, which takes a minute or more and is logged, and then loaded from the cache.

    Raises: UnknownModel, BadSetting for a device this machine lacks or an unknown precision, MissingExtra for a
    compiled program without Tracr and a GGUF file without gguf, UnusableCache, and what `graphs.model.load` raises.
    """
    import torch

    from acdc.graphs.model import load

    precision = dtype if isinstance(dtype, torch.dtype) else Compute(dtype=dtype).torch_dtype
    named = os.fspath(name)
    check_device(device)
    made_here = named.startswith(programs.PREFIX) or _PLANTED.match(named)
    if made_here and ("," in str(device) or str(device) == "auto"):
        raise BadSetting(
            f"{named} is small and made on one device: got --device {device}, wanted such as cpu or cuda:0"
        )
    if named.startswith(programs.PREFIX):
        from acdc.ground_truth import tracr

        return tracr.load(named.removeprefix(programs.PREFIX), device=device, dtype=precision)
    if _PLANTED.match(named):
        from acdc.ground_truth import planted

        return planted.named(named, device=device, dtype=precision).model
    where = resolve(named)
    if is_gguf(named):
        where = str(getting.converted(Path(where), _logger.warning))
    known_as = expanded(named) if is_gguf(named) or named in registry.KNOWN else None
    return load(where, device=device, dtype=precision, revision=revision, known_as=known_as)


def check_device(device: str | torch.device) -> None:
    """Make sure that this machine has a device, or several with commas between them.

    Raises: BadSetting.
    """
    import torch

    from acdc.graphs.model.placement import devices_of

    try:
        for each in devices_of(device) or ():
            torch.empty(0, device=each)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BadSetting(f"the device '{device}' cannot be used here ({reason}); try --device cpu") from error
    except BadDevices as error:
        raise BadSetting(str(error)) from error


def load_named(name: str, setup: Setup) -> Model:
    """The model of that name on the setup's device, in its precision.

    Raises: as `load_model`.
    """
    return load_model(name, device=setup.compute.device, dtype=setup.compute.torch_dtype)


def _shipped(name: str) -> Shipped:
    path = tasks.shipped_model(name)
    config = json.loads((path / "config.json").read_text("utf-8"))
    about = _first_sentence((path / "README.md").read_text("utf-8"))
    size = (path / "model.safetensors").stat().st_size / 1e6
    return Shipped(name, path, config["n_layer"], config["n_head"], size, about)


def _first_sentence(card: str) -> str:
    """What a model's card says first, below its metadata and its title."""
    text = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL)
    paragraph = next((part for part in re.split(r"\n\s*\n", text) if not part.lstrip().startswith(("#", "<"))), "")
    return re.split(r"(?<=\.)\s", " ".join(paragraph.split()))[0]
