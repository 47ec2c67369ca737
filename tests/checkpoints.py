"""Tiny random Hugging Face checkpoints, one per supported architecture, written to disk from a seed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.shared import SharedModels

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from acdc.graphs.model import Model

Architecture = Literal[
    "gpt2", "gpt_neox", "gpt_neox_sequential", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3"
]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
GROUPED: tuple[Architecture, ...] = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3")

SPECIAL = ("<unk>", "<bos>", "<eos>", "<pad>")
SPACE = "\u0120"  # how a byte-level vocabulary writes a space
SENTENCE = " the cat dog sat on a mat and saw Mary John gave it to is are"
WORDS = tuple(" " + word for word in SENTENCE.split())


@dataclass(frozen=True)
class Checkpoints:
    """A folder of tiny checkpoints, each built when it is first asked for."""

    root: Path
    _loaded: SharedModels = field(default_factory=SharedModels, compare=False, repr=False)

    def model(self, architecture: Architecture, dtype: torch.dtype = torch.float64) -> Model:
        """The model of that architecture, for tests that only read it: it is loaded once for all of them."""
        from acdc import graphs

        return self._loaded.get((architecture, dtype), lambda: graphs.load(self.path(architecture), dtype=dtype))

    def path(self, architecture: Architecture) -> Path:
        """The directory of the checkpoint of that architecture."""
        directory = self.root / architecture
        if not directory.exists():
            build(architecture, directory)
        return directory

    def ungrouped(self, architecture: Architecture) -> Path:
        """The same function with one key and one value head per query head (the checkpoint itself if it has that)."""
        if architecture not in GROUPED:
            return self.path(architecture)
        directory = self.root / f"{architecture}-ungrouped"
        if not directory.exists():
            ungroup(self.path(architecture), directory)
        return directory


def build(architecture: Architecture, directory: Path, *, seed: int = 0) -> None:
    """Write config.json, model.safetensors and the tokenizer's files, as anyone's checkpoint has them."""
    model = _model(architecture)
    _randomise(model, torch.Generator().manual_seed(seed))
    model.save_pretrained(directory)
    tokenizer().save_pretrained(directory)


def change_config(directory: Path, **changes: Any) -> None:
    """Give fields of a checkpoint's configuration other values."""
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_weights(directory: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Have `change` edit a checkpoint's weights by name."""
    path = directory / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def vocabulary() -> tuple[str, ...]:
    """All tokens in the order of their ids: the special ones, letters, and every prefix of every one of `WORDS`."""
    pieces = [word[:end].replace(" ", SPACE) for word in WORDS for end in range(1, len(word) + 1)]
    return tuple(dict.fromkeys((*SPECIAL, *sorted(set(SENTENCE) - {" "}), *pieces)))


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with one token for each of `WORDS`, leading space included, as gpt2 has it.

    It merges pairs because transformers rebuilds a Qwen 2 tokenizer as such, whatever the files say.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = vocabulary()
    merges = [(piece[:-1], piece[-1]) for piece in tokens if len(piece) > 1 and piece.startswith(SPACE)]
    pairs = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    unk, bos, eos, pad = SPECIAL
    return PreTrainedTokenizerFast(tokenizer_object=pairs, unk_token=unk, bos_token=bos, eos_token=eos, pad_token=pad)


def ungroup(source: Path, directory: Path) -> None:
    """Write the checkpoint that repeats each key and value head for every query head of its group."""
    shutil.copytree(source, directory)
    config = json.loads((source / "config.json").read_text())
    kv_heads, heads = config["num_key_value_heads"], config["num_attention_heads"]
    weights = load_file(source / "model.safetensors")
    for name, weight in weights.items():
        if ".k_proj." in name or ".v_proj." in name:
            per_head = weight.unflatten(0, (kv_heads, -1)).repeat_interleave(heads // kv_heads, dim=0)
            weights[name] = per_head.flatten(0, 1).contiguous()
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    config["num_key_value_heads"] = heads
    (directory / "config.json").write_text(json.dumps(config))


def _model(architecture: Architecture) -> PreTrainedModel:
    """The untouched model of that architecture: small, and with every feature of it switched on."""
    import transformers as hf

    ids: dict[str, Any] = {"vocab_size": len(vocabulary()), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
    grouped: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32,
        **ids,
    }
    # Soft caps and scales far from their defaults, so that leaving one out shows.
    gemma: dict[str, Any] = {
        "head_dim": 8,
        "query_pre_attn_scalar": 5,
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"],
    }
    match architecture:
        case "gpt2":
            config: Any = hf.GPT2Config(n_embd=16, n_layer=3, n_head=4, n_positions=32, **ids)
        case "gpt_neox" | "gpt_neox_sequential":
            config = hf.GPTNeoXConfig(
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=3,
                num_attention_heads=4,
                max_position_embeddings=32,
                rotary_pct=0.5,
                use_parallel_residual=architecture == "gpt_neox",
                **ids,
            )
        case "llama":
            config = hf.LlamaConfig(**grouped)
        case "mistral":
            config = hf.MistralConfig(**grouped, head_dim=8, sliding_window=3)
        case "qwen2":
            config = hf.Qwen2Config(**grouped)
        case "qwen3":
            config = hf.Qwen3Config(**grouped, head_dim=8)
        case "gemma2":
            config = hf.Gemma2Config(**grouped, **gemma, attn_logit_softcapping=2.0, final_logit_softcapping=5.0)
        case "gemma3":
            config = hf.Gemma3TextConfig(**grouped, **gemma)
    return hf.AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def _randomise(model: PreTrainedModel, generator: torch.Generator) -> None:
    """Draw every parameter afresh, large enough that heads attend, norms bend and every edge matters."""

    def noise(like: Tensor, std: float) -> Tensor:
        return torch.empty_like(like).normal_(std=std, generator=generator)

    gemma = model.config.model_type.startswith("gemma")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.copy_(noise(parameter, 0.4))
            elif name.endswith("bias"):
                parameter.copy_(noise(parameter, 0.3))
            else:  # a norm's weight, which Gemma stores as its difference from one
                parameter.copy_(noise(parameter, 0.3) + (0.0 if gemma else 1.0))
