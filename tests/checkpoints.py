"""Tiny random Hugging Face checkpoints, one per architecture that tests speak of, written to disk from a seed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.shared import SharedModels
from tests.ungrouping import is_grouped, ungroup

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from acdc.graphs.model import Model

Architecture = Literal[
    "gpt2",
    "gpt_neox",
    "gpt_neox_sequential",
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3",
    "phi",
    "phi3",
    "mixtral",
    "qwen2_moe",
    "olmo",
    "olmo2",
    "stablelm",
    "smollm3",
    "granite",
    "cohere",
    "gptj",
    "gpt_neo",
    "opt",
    "bloom",
    "falcon",
    "gemma3_multimodal",
]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)

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
        directory = self.root / f"{architecture}-ungrouped"
        if not is_grouped(self.path(architecture)):
            return self.path(architecture)
        if not directory.exists():
            ungroup(self.path(architecture), directory)
        return directory


def build(architecture: Architecture, directory: Path, *, seed: int = 0) -> None:
    """Write config.json, model.safetensors and the tokenizer's files, as anyone's checkpoint has them."""
    write(_config(architecture), directory, seed=seed)


def write(config: Any, directory: Path, *, seed: int = 0) -> None:
    """The same of the model with this configuration, whatever its architecture."""
    import transformers as hf

    model = hf.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
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


def token_ids() -> dict[str, Any]:
    """The fields of a configuration that speak of the vocabulary."""
    return {"vocab_size": len(vocabulary()), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}


def small() -> dict[str, Any]:
    """The fields of a configuration that make a small model with two query heads to each key and value."""
    return {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32,
        **token_ids(),
    }


def _config(architecture: Architecture) -> Any:
    """The configuration of a model of that architecture: small, and with every feature of it switched on."""
    import transformers as hf

    ids, grouped = token_ids(), small()
    rotation = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
    half_turned: dict[str, Any] = {"hidden_size": 32, "rope_parameters": rotation}
    gptlike: dict[str, Any] = {"num_attention_heads": 4, "max_position_embeddings": 32, "hidden_size": 16, **ids}
    # Soft caps and scales far from their defaults, so that leaving one out shows.
    gemma: dict[str, Any] = {
        "head_dim": 8,
        "query_pre_attn_scalar": 5,
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"],
    }
    experts: dict[str, Any] = {"num_experts_per_tok": 2}
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
        case "gemma3_multimodal":
            sight = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
            sight |= {"image_size": 28, "patch_size": 14}
            config = hf.Gemma3Config(text_config=grouped | gemma, vision_config=sight, mm_tokens_per_image=4)
        case "phi":
            config = hf.PhiConfig(**grouped | half_turned)
        case "phi3":
            config = hf.Phi3Config(**grouped | half_turned, sliding_window=4)
        case "mixtral":
            config = hf.MixtralConfig(**grouped, **experts, num_local_experts=4, sliding_window=3)
        case "qwen2_moe":  # the second layer is an MLP like any other
            sizes = {"num_experts": 4, "moe_intermediate_size": 12, "shared_expert_intermediate_size": 20}
            config = hf.Qwen2MoeConfig(**grouped, **experts, **sizes, norm_topk_prob=True, mlp_only_layers=[1])
        case "olmo":
            config = hf.OlmoConfig(**grouped, clip_qkv=1.0)
        case "olmo2":
            config = hf.Olmo2Config(**grouped)
        case "stablelm":
            more = {"use_qkv_bias": True, "qk_layernorm": True, "use_parallel_residual": True}
            config = hf.StableLmConfig(**grouped | half_turned, **more)
        case "smollm3":
            config = hf.SmolLM3Config(**grouped, no_rope_layers=[1, 0])
        case "granite":
            multipliers = {"embedding_multiplier": 3.0, "attention_multiplier": 0.7, "residual_multiplier": 0.4}
            config = hf.GraniteConfig(**grouped, **multipliers, logits_scaling=2.5)
        case "cohere":
            config = hf.CohereConfig(**grouped, logit_scale=0.3, use_qk_norm=True)
        case "gptj":
            config = hf.GPTJConfig(n_embd=24, n_layer=2, n_head=3, n_positions=32, rotary_dim=4, **ids)
        case "gpt_neo":
            local = {"attention_types": [[["global", "local"], 1]], "window_size": 3}
            config = hf.GPTNeoConfig(
                num_layers=2, num_heads=4, hidden_size=16, max_position_embeddings=32, **local, **ids
            )
        case "opt":
            config = hf.OPTConfig(**gptlike, num_hidden_layers=2, ffn_dim=24, word_embed_proj_dim=16)
        case "bloom":
            config = hf.BloomConfig(hidden_size=16, n_layer=2, n_head=4, **ids)
        case "falcon":
            shape = {"multi_query": True, "parallel_attn": True, "new_decoder_architecture": False}
            config = hf.FalconConfig(**gptlike, num_hidden_layers=2, **shape, bias=True)
    return config


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
