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
from acdc.graphs.model.extraction import architecture, graph_of, layer_of, unembedding_of
from acdc.graphs.model.recording import Original, record
from acdc.graphs.model.transformer import Identity, Model


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
    identity gets where that is not the directory's.

    Raises: ModelNotFound, ModelUnreachable, UnsupportedModel.
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
        original = original.to(torch.device(device)).eval()
        context = _context(original.config)
        head = original.get_output_embeddings().weight
        inputs = parity.inputs_for(original.get_input_embeddings().num_embeddings, head, context)
        try:
            recording = record(Original.of(original), inputs)
            bridge = _bridged(original)
        except GraphsError:
            raise
        except Exception as error:  # likewise for fields that lead its code where nobody went
            raise UnsupportedModel(
                f"{where} cannot be run with the configuration it has: {type(error).__name__} {error}; "
                "see the fields of its config.json that differ from its architecture's defaults"
            ) from error
        quantisation = source.quantisation if source else None
        model = _model(bridge, tokenizer, Identity(known_as or where, revision, context, quantisation))
        parity.check(model, inputs, recording)
    doubts = source.doubts if source else ()
    library_messages.pass_on(model.identity.name, (*doubts, *library_messages.concerning_results(messages)))
    return model


def from_bridge(bridge: Any, name: str = "bridge", tokenizer: Any = None) -> Model:
    """The model of a `TransformerBridge` you already have, native ones included; the bridge is read, not changed.

    Raises: UnsupportedModel; ModelChanged for a bridge with hooks or with dropout switched on.
    """
    identity = Identity(name, None, bridge.cfg.n_ctx)
    model = _model(bridge, tokenizer if tokenizer is not None else bridge.tokenizer, identity)
    model.check_unchanged()
    with _random_state_kept(model.device):
        inputs = parity.inputs_for(model.vocabulary, model.unembedding.weight, identity.n_context)
        parity.check(model, inputs, record(Original.bridged(bridge), inputs))
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
    tokenizer = transformers.AutoTokenizer.from_pretrained(where, revision=revision)
    checkpoint.check_tokenizer(where, tokenizer)
    return original, tokenizer


def _bridged(original: Any) -> Any:
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    return build_bridge_from_module(original, type(original).__name__, hf_config=original.config)


def _model(bridge: Any, tokenizer: Any, identity: Identity) -> Model:
    architecture(bridge)
    layers = tuple(layer_of(block) for block in bridge.blocks)
    return Model(identity, graph_of(bridge), layers, unembedding_of(bridge), bridge, tokenizer)


def _context(config: Any) -> int | None:
    return getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)


@contextmanager
def _random_state_kept(device: str | torch.device) -> Iterator[None]:
    """Models are made with random numbers before theirs are read; torch's global generators stay as they were."""
    with torch.random.fork_rng([torch.device(device)] if torch.device(device).type == "cuda" else []):
        yield


def _unloadable(where: str, revision: str | None, error: Exception) -> Exception:
    at = f" at revision {revision}" if revision else ""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(": ")
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
