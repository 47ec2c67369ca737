"""Dictionaries load to what the libraries that wrote them make of the same input, and everything else is refused."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from acdc.graphs.errors import BadDictionary
from acdc.graphs.features import load
from acdc.graphs.features.dictionary import Dictionary

WRITTEN = Path(__file__).parent / "written"
SAELENS = sorted(path.parent.name for path in WRITTEN.glob("*/cfg.json"))
GEMMA_SCOPE = WRITTEN / "gemma-scope-2b-pt-mlp" / "layer_1" / "width_16k" / "average_l0_5"


def check(dictionary: Dictionary, expected: Path) -> None:
    """The dictionary's activations and reconstruction are the expected ones."""
    known = load_file(expected)
    features = dictionary.encode(known["x"])
    torch.testing.assert_close(features, known["features"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dictionary.decode(features, known["x"]), known["reconstruction"], rtol=1e-5, atol=1e-5)
    assert 0 < int((features > 0).sum()) < features.numel()


@pytest.mark.parametrize("name", SAELENS)
def test_a_dictionary_of_saelens_gives_what_saelens_gives(name: str) -> None:
    (dictionary,) = load(WRITTEN / name)
    check(dictionary, WRITTEN / name / "expected.safetensors")
    assert dictionary.is_transcoder == ("transcoder" in name)
    assert str(dictionary.writes) == ("blocks.1.attn.hook_z" if "hook-z" in name else "blocks.1.hook_mlp_out")


def test_every_architecture_of_saelens_is_there() -> None:
    there = {json.loads((WRITTEN / name / "cfg.json").read_text())["architecture"] for name in SAELENS}
    autoencoders = {"standard", "topk", "jumprelu", "gated"}
    assert there == autoencoders | {f"{kind}transcoder" for kind in ("", "skip_", "jumprelu_", "jumprelu_skip_")}


@pytest.mark.parametrize("name", ["circuit-tracer", "circuit-tracer-skip"])
def test_transcoders_of_circuit_tracer_give_what_it_gives(name: str) -> None:
    dictionaries = load(WRITTEN / name)
    assert [str(each.writes) for each in dictionaries] == ["blocks.0.hook_mlp_out", "blocks.1.hook_mlp_out"]
    for layer, dictionary in enumerate(dictionaries):
        check(dictionary, WRITTEN / name / f"expected-{layer}.safetensors")


def test_a_dictionary_of_gemma_scope_gives_what_saelens_makes_of_it() -> None:
    (dictionary,) = load(GEMMA_SCOPE)
    check(dictionary, GEMMA_SCOPE / "expected.safetensors")
    assert str(dictionary.reads) == "blocks.1.hook_mlp_out"


@pytest.mark.parametrize("name", [*SAELENS, "circuit-tracer-skip"])
def test_directions_of_length_1_are_the_same_function(name: str) -> None:
    dictionary = load(WRITTEN / name)[0].to("cpu", torch.float64)
    x = torch.randn(50, 16, dtype=torch.float64)
    folded = dictionary.folded()
    torch.testing.assert_close(folded.reconstruct(x), dictionary.reconstruct(x))
    torch.testing.assert_close(folded.decoder.weight.norm(dim=-1), torch.ones(40, dtype=torch.float64))
    assert ((folded.encode(x) > 0) == (dictionary.encode(x) > 0)).all()


def changed(tmp_path: Path, name: str, **changes: object) -> Path:
    """A copy of a dictionary with another configuration."""
    copy = tmp_path / "copy"
    shutil.copytree(WRITTEN / name, copy)
    config = json.loads((copy / "cfg.json").read_text())
    (copy / "cfg.json").write_text(json.dumps({**config, **changes}))
    return copy


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("standard", {"architecture": "temporal"}, "architecture 'temporal'"),
        ("standard", {"normalize_activations": "covariance_whitening"}, "fold it into the weights"),
        ("standard", {"metadata": {"hook_name": "blocks.1.attn.hook_q"}}, "'blocks.1.attn.hook_q'"),
        ("standard", {"metadata": {}}, "--hook blocks.3.hook_mlp_out"),
        ("transcoder", {"metadata": {"hook_name": "blocks.1.ln2.hook_normalized"}}, "hook_name_out"),
        ("standard", {"d_in": 17}, "has the shape 16x40, wanted 17x40"),
        ("topk", {"k": 0}, "k 0"),
        ("gated", {"architecture": "jumprelu"}, "no tensor 'threshold'"),
    ],
)
def test_a_wrong_configuration_is_refused(tmp_path: Path, name: str, changes: dict[str, object], said: str) -> None:
    with pytest.raises(BadDictionary, match=said.replace(".", r"\.")):
        load(changed(tmp_path, name, **changes))


def test_missing_damaged_and_unlikely_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDictionary, match="is no folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(BadDictionary, match="holds no features"):
        load(tmp_path)
    copy = changed(tmp_path, "standard")
    weights = load_file(copy / "sae_weights.safetensors")
    save_file({**weights, "b_enc": weights["b_enc"] / 0}, copy / "sae_weights.safetensors")
    with pytest.raises(BadDictionary, match=r"b_enc .* holds NaN or infinite"):
        load(copy)
    (copy / "sae_weights.safetensors").write_bytes(b"\x10")
    with pytest.raises(BadDictionary, match="cannot be read"):
        load(copy)
    (copy / "sae_weights.safetensors").unlink()
    with pytest.raises(BadDictionary, match=r"sae_weights\.safetensors is missing"):
        load(copy)


@pytest.mark.parametrize("name", ["ae.pt", "weights.bin", "sae.pkl"])
def test_a_pickle_is_refused_unread(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not even a pickle")
    for given in (tmp_path, tmp_path / name):
        with pytest.raises(BadDictionary, match="is a pickle, which can run any code"):
            load(given)


class Trap:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.path,))


def test_a_pickle_inside_an_npz_is_not_run(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "works")))  # noqa: S301  # the trap is ours
    assert (tmp_path / "works").exists()
    np.savez(tmp_path / "params.npz", W_enc=np.array([Trap(tmp_path / "sprung")], dtype=object))
    with pytest.raises(BadDictionary, match="cannot be read"):
        load(tmp_path, "blocks.0.hook_mlp_out")
    assert not (tmp_path / "sprung").exists()


def test_gemma_scope_without_its_folders_needs_a_place(tmp_path: Path) -> None:
    shutil.copy(GEMMA_SCOPE / "params.npz", tmp_path)
    with pytest.raises(BadDictionary, match="do not say where"):
        load(tmp_path)
    (dictionary,) = load(tmp_path, "blocks.3.hook_resid_post")
    assert str(dictionary.reads) == "blocks.3.hook_resid_post"
