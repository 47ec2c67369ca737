"""From a name, a directory or a bridge to a `Model` whose arithmetic has been checked against the original's."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from graphs.errors import GraphsError, ModelNotFound, ModelUnreachable, UnsupportedModel
from graphs.model.extraction import SUPPORTED, architecture, graph_of, layer_of, unembedding_of
from graphs.model.transformer import Identity, Model

# How far our logits may be from the original's, as a fraction of its largest: sums in another order, nothing more.
# Float64 allows for norms and softmaxes that the original computes in float32 whatever it is given.
_DRIFT = {torch.float64: 2e-5, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}


def load(
    name: str | os.PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
) -> Model:
    """The model of a local checkpoint directory or a Hugging Face hub name (`gpt2`, `Qwen/Qwen2.5-0.5B@revision`).

    Weights are read from safetensors only. Our logits are compared with the original's on a few tokens.

    Raises: ModelNotFound, ModelUnreachable, UnsupportedModel.
    """
    where = os.fspath(name)
    if not Path(where).exists() and "@" in where:
        where, revision = where.split("@", 1)
    _check_directory(Path(where))
    with _quietly():
        import transformers
        from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

        try:
            _check_fields(where, transformers.PretrainedConfig.get_config_dict(where, revision=revision)[0])
            config = transformers.AutoConfig.from_pretrained(where, revision=revision)
            original: Any
            found: dict[str, Any]
            original, found = transformers.AutoModelForCausalLM.from_pretrained(  # type: ignore[misc]  # a pair, here
                where,
                revision=revision,
                dtype=dtype,
                use_safetensors=True,
                attn_implementation="eager",
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # so that they are listed, for us to refuse
            )
            _check_weights(where, found)
            tokenizer = transformers.AutoTokenizer.from_pretrained(where, revision=revision)
        except GraphsError:
            raise
        except Exception as error:  # a damaged file surfaces as whatever the reader of it stumbles over
            raise _unloadable(where, revision, error) from error
        original = original.to(torch.device(device)).eval()
        tokens = _sample_tokens(config.vocab_size, _context(config), torch.device(device))
        try:
            with torch.no_grad():
                wanted = original(tokens).logits
            bridge = build_bridge_from_module(original, type(original).__name__, hf_config=original.config)
        except Exception as error:  # likewise for fields that lead its code where nobody went
            raise UnsupportedModel(
                f"{where} cannot be run with the configuration it has: {type(error).__name__} {error}; "
                "see the fields of its config.json that differ from its architecture's defaults"
            ) from error
    identity = Identity(where, revision, _context(config))
    return _verified(bridge, tokenizer, identity, tokens, wanted)


def from_bridge(bridge: Any, name: str = "bridge", tokenizer: Any = None) -> Model:
    """The model of a `TransformerBridge` you already have, native ones included; the bridge is read, not changed.

    Raises: UnsupportedModel.
    """
    architecture(bridge)
    device = next(bridge.original_model.parameters()).device
    tokens = _sample_tokens(bridge.cfg.d_vocab, bridge.cfg.n_ctx, device)
    with torch.no_grad():
        wanted = bridge(tokens)
    identity = Identity(name, None, bridge.cfg.n_ctx)
    return _verified(bridge, tokenizer if tokenizer is not None else bridge.tokenizer, identity, tokens, wanted)


def _verified(
    bridge: Any,
    tokenizer: Any,
    identity: Identity,
    tokens: Int[Tensor, "batch pos"],
    wanted: Float[Tensor, "batch pos vocab"],
) -> Model:
    architecture(bridge)
    layers = tuple(layer_of(block) for block in bridge.blocks)
    model = Model(identity, graph_of(bridge), layers, unembedding_of(bridge), bridge, tokenizer)
    with torch.no_grad():
        drift = (model.logits(tokens) - wanted).abs().max().item()
    allowed = _DRIFT.get(model.dtype, 1e-1) * max(1.0, wanted.abs().max().item())
    if not drift <= allowed:
        raise UnsupportedModel(
            f"our logits for {identity.name} differ from the model's own by {drift:.2g} where at most {allowed:.2g} is "
            "rounding; some field of its configuration changes the arithmetic in a way that is not supported, so no "
            "result would be about this model"
        )
    return model


def _sample_tokens(vocabulary: int, limit: int | None, device: torch.device) -> Int[Tensor, "batch pos"]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(vocabulary, (2, min(12, limit or 12)), generator=generator).to(device)


def _context(config: Any) -> int | None:
    return getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)


def _check_directory(path: Path) -> None:
    if not path.is_dir():
        return
    needed = {
        "config.json": "a configuration",
        "*.safetensors": "weights (only safetensors are read; convert .bin or .pt files first)",
        "tokenizer*": "a tokenizer",
    }
    missing = [f"{pattern}: {what}" for pattern, what in needed.items() if not any(path.glob(pattern))]
    if missing:
        raise ModelNotFound(f"the directory {path} is no checkpoint: it lacks {'; '.join(missing)}")


def _check_fields(where: str, config: dict[str, Any]) -> None:
    """Refuse by the configuration alone, before transformers makes of it what it can."""
    model_type = config.get("model_type")
    if model_type is not None and model_type not in SUPPORTED:
        raise UnsupportedModel(
            f"model_type={model_type!r} of {where} is not supported; wanted one of {', '.join(SUPPORTED)}"
        )
    if config.get("quantization_config") is not None:
        raise UnsupportedModel(f"quantization_config of {where} is not supported; load the model unquantised")


def _check_weights(where: str, found: dict[str, Any]) -> None:
    """Refuse weights that transformers would fill with random numbers."""
    missing = sorted(found["missing_keys"])
    if missing:
        raise ModelNotFound(
            f"the weights of {where} lack {len(missing)} tensors that its config.json asks for, the first being "
            f"{missing[0]}; take both files from the same checkpoint"
        )
    mismatched = sorted(found["mismatched_keys"])
    if mismatched:
        name, got, wanted = mismatched[0]
        raise ModelNotFound(
            f"{len(mismatched)} weights of {where} are not of the size that its config.json asks for: {name} is "
            f"{tuple(got)}, wanted {tuple(wanted)}; take both files from the same checkpoint"
        )


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


@contextmanager
def _quietly() -> Iterator[None]:
    """Third-party loading chatter stays off the user's terminal; errors still come as exceptions."""
    import transformers
    from huggingface_hub.utils import logging as hub_logging

    _ = hub_logging.get_verbosity()  # sets its own level when first asked, which would undo ours
    names = ("transformers", "huggingface_hub", "transformer_lens", "")
    levels = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            bars = transformers.utils.logging.is_progress_bar_enabled()
            transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
            try:
                yield
            finally:
                if bars:
                    transformers.utils.logging.enable_progress_bar()  # type: ignore[no-untyped-call]
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
