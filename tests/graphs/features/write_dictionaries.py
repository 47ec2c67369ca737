"""Write a small dictionary in every format with the libraries themselves, and what each makes of one input.

Run in an environment of its own: `pip install sae-lens && pip install --no-deps circuit-tracer`, then
`python tests/graphs/features/write_dictionaries.py`. What it writes, in `written/`, is part of the repository: these
libraries want another TransformerLens than we do. Gemma Scope has no library; its files are what SAELens reads.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.torch import save_file

try:
    from circuit_tracer.transcoder import SingleLayerTranscoder, TranscoderSet
    from circuit_tracer.transcoder.activation_functions import JumpReLU
    from sae_lens.loading import pretrained_sae_loaders as loaders
    from sae_lens.saes import (
        SAE,
        GatedSAEConfig,
        JumpReLUSAEConfig,
        JumpReLUSkipTranscoderConfig,
        JumpReLUTranscoderConfig,
        SkipTranscoderConfig,
        StandardSAEConfig,
        TopKSAEConfig,
        TranscoderConfig,
    )
    from sae_lens.saes.sae import SAEMetadata
except ImportError as error:
    raise SystemExit("install both libraries in an environment of their own, and run this with its python") from error

HERE = Path(__file__).parent / "written"
D_IN, D_OUT, FEATURES, TOKENS = 16, 16, 40, 6
PLACE = SAEMetadata(model_name="tiny", hook_name="blocks.1.hook_mlp_out")
ACROSS = SAEMetadata(model_name="tiny", hook_name="blocks.1.ln2.hook_normalized", hook_name_out="blocks.1.hook_mlp_out")
HEADS = SAEMetadata(model_name="tiny", hook_name="blocks.1.attn.hook_z")
OWN, OTHER = {"d_in": D_IN, "d_sae": FEATURES}, {"apply_b_dec_to_input": False, "d_out": D_OUT}

CASES = {
    "standard": StandardSAEConfig(**OWN, metadata=PLACE),
    "standard-uncentred": StandardSAEConfig(**OWN, apply_b_dec_to_input=False, metadata=PLACE),
    "standard-layer-norm": StandardSAEConfig(**OWN, normalize_activations="layer_norm", metadata=PLACE),
    "standard-constant-norm": StandardSAEConfig(**OWN, normalize_activations="constant_norm_rescale", metadata=PLACE),
    "standard-hook-z": StandardSAEConfig(**OWN, reshape_activations="hook_z", metadata=HEADS),
    "topk": TopKSAEConfig(**OWN, k=5, metadata=PLACE),
    "topk-rescaled": TopKSAEConfig(**OWN, k=5, rescale_acts_by_decoder_norm=True, metadata=PLACE),
    "jumprelu": JumpReLUSAEConfig(**OWN, metadata=PLACE),
    "gated": GatedSAEConfig(**OWN, metadata=PLACE),
    "transcoder": TranscoderConfig(**OWN, **OTHER, metadata=ACROSS),
    "skip-transcoder": SkipTranscoderConfig(**OWN, **OTHER, metadata=ACROSS),
    "jumprelu-transcoder": JumpReLUTranscoderConfig(**OWN, **OTHER, metadata=ACROSS),
    "jumprelu-skip-transcoder": JumpReLUSkipTranscoderConfig(**OWN, **OTHER, metadata=ACROSS),
}


def randomise(sae: SAE) -> SAE:
    """The same with weights that leave no part at its start, so that each of them shows."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in sae.named_parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * (0.3 if weight.ndim == 1 else 0.5))
            if name == "threshold":
                weight.abs_()
    return sae


def expected(sae: SAE, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the library makes of an input."""
    given = x.unflatten(-1, (4, -1)) if sae.cfg.reshape_activations == "hook_z" else x
    with torch.no_grad():
        features = sae.encode(given)
        return {"x": x, "features": features.contiguous(), "reconstruction": sae(given).flatten(1).contiguous()}


def write_gemma_scope(x: torch.Tensor) -> None:
    """Gemma Scope's params.npz, run by the autoencoder that SAELens' loader makes of one."""
    sae = randomise(SAE.from_dict(JumpReLUSAEConfig(**OWN, apply_b_dec_to_input=False).to_dict()))
    where = HERE / "gemma-scope-2b-pt-mlp" / "layer_1" / "width_16k" / "average_l0_5"
    where.mkdir(parents=True, exist_ok=True)
    np.savez(where / "params.npz", **{name: weight.detach().numpy() for name, weight in sae.named_parameters()})
    loaders.hf_hub_download = lambda *_, **__: str(where / "params.npz")
    _, state, _ = loaders.gemma_2_sae_huggingface_loader("google/gemma-scope-2b-pt-mlp", "layer_1/width_16k")
    sae.load_state_dict(state)
    save_file(expected(sae, x), where / "expected.safetensors")


def write_circuit_tracer(x: torch.Tensor, name: str, *, skip: bool) -> None:
    """circuit-tracer's folder of transcoders; its own files come with a `config.yaml` that is written by hand."""
    where, generator = HERE / name, torch.Generator().manual_seed(2)
    transcoders = {}
    for layer in range(2):
        activation = JumpReLU(torch.rand(FEATURES, generator=generator)) if skip else torch.nn.functional.relu
        made = SingleLayerTranscoder(D_IN, FEATURES, activation, layer, skip_connection=skip, dtype=torch.float32)
        with torch.no_grad():
            for weight in (made.W_enc, made.W_dec, made.b_enc, made.b_dec, *([made.W_skip] if skip else [])):
                weight.copy_(torch.randn(weight.shape, generator=generator) * (0.3 if weight.ndim == 1 else 0.5))
        transcoders[layer] = made
    TranscoderSet(transcoders, "mlp.hook_in", "hook_mlp_out").to_safetensors(str(where))
    said = {"model_name": "tiny", "model_kind": "transcoder_set"}
    said |= {"feature_input_hook": "mlp.hook_in", "feature_output_hook": "hook_mlp_out"}
    (where / "config.yaml").write_text(yaml.safe_dump(said))
    for layer, made in transcoders.items():
        with torch.no_grad():
            found = {"x": x, "features": made.encode(x), "reconstruction": made(x)}
        save_file(found, where / f"expected-{layer}.safetensors")


def main() -> None:
    """Write all of them."""
    x = torch.randn(TOKENS, D_IN, generator=torch.Generator().manual_seed(1)) + 0.3
    for name, config in CASES.items():
        sae = randomise(SAE.from_dict(dataclasses.replace(config).to_dict()))
        sae.save_model(HERE / name)
        save_file(expected(sae, x), HERE / name / "expected.safetensors")
    write_gemma_scope(x)
    write_circuit_tracer(x, "circuit-tracer", skip=False)
    write_circuit_tracer(x, "circuit-tracer-skip", skip=True)


if __name__ == "__main__":
    main()
