"""From a name, a directory or a bridge to a `Model` whose arithmetic has been checked against the original's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from acdc.graphs.errors import GraphsError, ModelNotFound, ModelUnreachable, UnsupportedModel
from acdc.graphs.gguf_source import GgufSource
from acdc.graphs.model import checkpoint, library_messages, parity
from acdc.graphs.model.extraction import graph_of, layer_of, unembedding_of
from acdc.graphs.model.placement import Placement, devices_of
from acdc.graphs.model.recording import Original, record
from acdc.graphs.model.transformer import Identity, Model
from acdc.graphs.model.unusual import unusual_fields


def load(
    name: str | os.PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
    known_as: str | None = None,
) -> Model:
    """The model of a local checkpoint directory or a Hugging Face hub name (`gpt2`, `Qwen/Qwen2.5-0.5B@revision`).

    Weights are read from safetensors only. Our arithmetic is compared with the original's, layer by layer in float64.
    What is doubtful about how it was read or converted is a warning, DoubtfulModel. `known_as` is the name that its
    identity gets where that is not the directory's. Its layers are shared evenly by several devices
    (`cuda:0,cuda:1`; those for `cpu` are kept there for the first), and with `auto` by all GPUs and the CPU as they
    fit; the first device holds everything else.

    Raises: BadDevices, ModelNotFound, ModelUnreachable, UnsupportedModel.
    """
    where = os.fspath(name)
    if not Path(where).exists() and "@" in where:
        where, revision = where.split("@", 1)
    checkpoint.check_directory(Path(where))
    source = GgufSource.of(Path(where))
    with library_messages.collecting() as messages, _random_state_kept(device):
        try:
            original, tokenizer = _read(where, revision, dtype)
        except GraphsError:
            raise
        except Exception as error:  # a damaged file surfaces as whatever the reader of it stumbles over
            raise _unloadable(where, revision, error) from error
        original = _placed(original.eval(), where, device)
        context = _context(original.config)
        head = original.get_output_embeddings().weight
        inputs = parity.inputs_for(original.get_input_embeddings().num_embeddings, head, context)
        with _refusing(f"{where} cannot be run with the configuration it has", original.config):
            recording = record(Original.of(original), inputs)
        quantisation = source.quantisation if source else None
        with _refusing(f"{where} cannot be taken apart into heads and MLPs", original.config):
            identity = Identity(known_as or where, revision, context, quantisation)
            model = _model(_bridged(original), tokenizer, identity)
        parity.check(model, inputs, recording)
    doubts = source.doubts if source else ()
    library_messages.pass_on(model.identity.name, (*doubts, *library_messages.concerning_results(messages)))
    return model


def from_bridge(bridge: Any, name: str = "bridge", tokenizer: Any = None) -> Model:
    """The model of a `TransformerBridge` you already have, native ones included; the bridge is read, not changed.

    Raises: UnsupportedModel; ModelChanged for a bridge with hooks or with dropout switched on.
    """
    identity = Identity(name, None, bridge.cfg.n_ctx)
    with _refusing(f"{name} cannot be taken apart into heads and MLPs", getattr(bridge.original_model, "config", None)):
        model = _model(bridge, tokenizer if tokenizer is not None else bridge.tokenizer, identity)
    model.check_unchanged()
    with _random_state_kept(model.device):
        inputs = parity.inputs_for(model.vocabulary, model.unembedding.weight, identity.n_context)
        with _refusing(f"{name} cannot be run layer by layer", getattr(bridge.original_model, "config", None)):
            recording = record(Original.bridged(bridge), inputs)
        parity.check(model, inputs, recording)
    return model


def _read(where: str, revision: str | None, dtype: torch.dtype) -> tuple[Any, Any]:
    """The model and the tokenizer of a checkpoint as transformers reads them, and everything in it read."""
    import transformers

    checkpoint.check_fields(where, transformers.PretrainedConfig.get_config_dict(where, revision=revision)[0])
    original: Any
    found: dict[str, Any]
    original, found = transformers.AutoModelForCausalLM.from_pretrained(
        where,
        revision=revision,
        dtype=dtype,
        use_safetensors=True,
        attn_implementation="eager",
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # so that they are listed, for us to refuse
    )
    checkpoint.check_weights(where, found, original)
    if hasattr(original, "set_experts_implementation"):
        original.set_experts_implementation("eager")  # the others know no float64
    tokenizer = transformers.AutoTokenizer.from_pretrained(where, revision=revision)
    checkpoint.check_tokenizer(where, tokenizer)
    return original, tokenizer


def _placed(original: Any, where: str, device: str | torch.device) -> Any:
    """The model on its device, or layer by layer on several.

    Raises: BadDevices; UnsupportedModel where it has no list of layers.
    """
    devices = devices_of(device)
    if devices is not None and len(devices) == 1:
        return original.to(devices[0])
    with _refusing(f"{where} cannot be put on several devices", original.config):
        layers = Original.of(original).layers
        placement = Placement.evenly(devices, len(layers)) if devices else Placement.fitting(original, layers)
        placement.place(original, layers)
    return original


def _bridged(original: Any) -> Any:
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    return build_bridge_from_module(original, type(original).__name__, hf_config=original.config)


def _model(bridge: Any, tokenizer: Any, identity: Identity) -> Model:
    for number, block in enumerate(bridge.blocks):
        if not hasattr(block, "attn"):
            raise UnsupportedModel(
                f"layer {number} of {identity.name} has no attention; wanted attention in every layer"
            )
    if getattr(getattr(bridge, "ln_final", None), "original_component", None) is None:
        raise UnsupportedModel(f"{identity.name} has no norm before the unembedding; wanted one")
    end = unembedding_of(bridge)
    layers = tuple(layer_of(block).beside(end.weight.device) for block in bridge.blocks)
    return Model(identity, graph_of(bridge, layers), layers, end, bridge, tokenizer)


def _context(config: Any) -> int | None:
    text = config.get_text_config()
    found = getattr(text, "max_position_embeddings", None) or getattr(text, "n_positions", None)
    return found if found and found > 0 else None


@contextmanager
def _refusing(what: str, config: Any) -> Iterator[None]:
    """Code of others, led where nobody went, fails in as many ways as there are; to the user it is one."""
    try:
        yield
    except GraphsError:
        raise
    except Exception as error:
        fields = ", ".join(f"{name}={value!r}" for name, value in unusual_fields(config).items())
        raise UnsupportedModel(
            f"{what}: {type(error).__name__} {_first_line(error)}; load another model, or see the fields that differ "
            f"from its architecture's defaults{': ' * bool(fields)}{fields}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(": ")


@contextmanager
def _random_state_kept(device: str | torch.device) -> Iterator[None]:
    """Models are made with random numbers before theirs are read; torch's global generators stay as they were."""
    devices = [each for each in devices_of(device) or () if each.type == "cuda"]
    with torch.random.fork_rng(devices):
        yield


def _unloadable(where: str, revision: str | None, error: Exception) -> Exception:
    at = f" at revision {revision}" if revision else ""
    reason = _first_line(error)
    if not isinstance(error, (OSError, ValueError)):
        reason = f"{type(error).__name__} {reason}"
    if Path(where).is_dir():
        return ModelNotFound(f"the checkpoint in {where} cannot be read: {reason}")
    chain, link = [], error
    while link is not None:
        chain.append(type(link).__name__ + str(link))
        link = link.__cause__ or link.__context__  # type: ignore[assignment]
    offline = any(
        sign in text
        for text in chain
        for sign in (
            "OfflineMode",
            "offline mode",
            "ConnectError",
            "ConnectionError",
            "LocalEntryNotFound",
            "couldn't connect",
        )
    )
    if offline:
        return ModelUnreachable(
            f"{where}{at} is not on this machine and the Hugging Face hub cannot be reached; "
            "connect to the network, or give a shipped model's name or a local checkpoint directory"
        )
    return ModelNotFound(f"no model called {where!r}{at} could be loaded: {reason}")
