"""What changes a model's arithmetic is seen in every precision, and rounding is not taken for such a change."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from acdc import graphs
from acdc.graphs.errors import UnsupportedModel
from acdc.graphs.model import Model, extraction, from_bridge, parity
from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.layer import Layer
from acdc.graphs.model.mlp import FeedForward, Mlp, WholeModule
from acdc.graphs.model.parts import HeadNorm, Norm, Projection
from acdc.graphs.model.recording import CheckInputs, Original, Recording, record
from acdc.graphs.model.unembedding import Unembedding
from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints, change_weights
from tests.native_bridges import NATIVES, Native, native_bridge

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
Change = Callable[[Layer], Layer | None]


def other_epsilon(norm: Norm) -> Norm | None:
    return None if norm.kind == "none" else replace(norm, eps=10 * norm.eps)


def in_attention(**made: Callable[[Any], Any]) -> Change:
    """A change of some fields of a layer's attention; None where a field has nothing to change."""

    def change(layer: Layer) -> Layer | None:
        changed = {name: make(getattr(layer.attention, name)) for name, make in made.items()}
        return None if None in changed.values() else replace(layer, attention=replace(layer.attention, **changed))

    return change


def in_mlp(**made: Callable[[Any], Any]) -> Change:
    """The same of its MLP."""

    def change(layer: Layer) -> Layer | None:
        assert layer.mlp is not None
        changed = {name: make(getattr(layer.mlp, name)) for name, make in made.items()}
        return None if None in changed.values() else replace(layer, mlp=replace(layer.mlp, **changed))

    return change


def other_inner_epsilon(projection: Projection) -> Projection | None:
    norm = other_epsilon(projection.norm.norm)
    return norm and replace(projection, norm=replace(projection.norm, norm=norm))


def other_activation(inner: FeedForward | WholeModule) -> FeedForward | None:
    """The nearest one: the two gelus differ by less than a thousandth."""
    if isinstance(inner, WholeModule):
        return None
    at_one = float(inner.activation(torch.ones(1)))
    tanh = partial(F.gelu, approximate="tanh")
    is_tanh = at_one == pytest.approx(float(tanh(torch.ones(1))), abs=1e-6)
    return replace(inner, activation=F.gelu if is_tanh else tanh)


def within(part: str, **made: Callable[[Any], Any]) -> Change:
    """The same of one part of its attention."""

    def change(value: Any) -> Any | None:
        changed = {name: make(getattr(value, name)) for name, make in made.items()}
        return None if None in changed.values() else replace(value, **changed)

    return in_attention(**{part: change})


def with_other_gain(norm: HeadNorm) -> HeadNorm | None:
    return None if norm.gain is None else replace(norm, gain=norm.gain * 1.0001)


def with_one_of_each(norm: HeadNorm) -> HeadNorm | None:
    """A norm of each head instead of one of all together."""
    return replace(norm, joint=False) if norm.joint else None


CHANGES: dict[str, Change] = {
    "attention norm": in_attention(norm=other_epsilon),
    "query norm": in_attention(query=other_inner_epsilon),
    "key norm": in_attention(key=other_inner_epsilon),
    "post norm": within("output", post_norm=lambda norm: norm and other_epsilon(norm)),
    "no post norm": within("output", post_norm=lambda norm: norm and Norm("none")),
    "scale": within("scores", scale=lambda scale: scale * 1.0001),
    "soft cap": within("scores", soft_cap=lambda cap: cap and cap * 1.001),
    "bias": within("output", bias=lambda bias: 0 * bias if bias.any() else None),
    "MLP norm": in_mlp(norm=other_epsilon),
    "MLP post norm": in_mlp(post_norm=other_epsilon),
    "activation": in_mlp(inner=other_activation),
    "query gain": within("query", norm=with_other_gain),
    "joint query norm": within("query", norm=with_one_of_each),
    "clip": within("query", clip=lambda clip: clip and clip * 1.001),
    "no clip": within("query", clip=lambda clip: clip and 1e9),
    "scale of the MLP": in_mlp(scale=lambda scale: scale * 1.0001),
}
"""What could be read wrongly from a model, each as small a mistake as its kind allows."""

EVERYWHERE = {"attention norm", "scale", "MLP norm", "activation", "scale of the MLP"}
NOT_THERE: dict[str, set[str]] = {
    "olmo2": {"attention norm", "MLP norm"},
    "mixtral": {"activation"},
    "qwen2_moe": {"activation"},
}
SOMEWHERE: dict[str, set[str]] = {
    "gpt2": {"bias"},
    "gpt_neox": {"bias"},
    "gpt_neox_sequential": {"bias"},
    "qwen3": {"query norm", "key norm"},
    "gemma2": {"post norm", "MLP post norm", "soft cap"},
    "gemma3": {"post norm", "MLP post norm", "query norm", "key norm"},
    "gemma3_multimodal": {"post norm", "MLP post norm", "query norm", "key norm"},
    "olmo": {"clip", "no clip"},
    "olmo2": {"post norm", "MLP post norm", "query norm", "query gain", "joint query norm"},
    "cohere": {"query norm", "query gain"},
    "stablelm": {"query norm", "query gain"},
    "phi": {"bias"},
    "gpt_neo": {"bias"},
    "opt": {"bias"},
    "bloom": {"bias"},
    "falcon": {"bias"},
}
UNTURNED = ("gpt2", "gpt_neo", "opt", "bloom")
WINDOWED = ("mistral", "gemma2", "gemma3", "gemma3_multimodal", "phi3", "mixtral", "gpt_neo")

EVERY_DTYPE = (*ARCHITECTURES[:9], "bloom")
"""Architectures that are tried in every precision; the others in one, to save time."""


def unlike_positionals(geometry: Geometry) -> Iterator[tuple[str, Geometry]]:
    """What may be wrong about positions: a rotation by slightly other angles, a window that is not kept."""
    if geometry.rotation is not None:
        cos, sin = (part.double() for part in geometry.rotation)
        angle = torch.atan2(sin, cos) * 1.001
        yield (
            "rotation",
            replace(geometry, rotation=(angle.cos().to(geometry.rotation[0]), angle.sin().to(geometry.rotation[0]))),
        )
        yield "pairs", replace(geometry, neighbours=not geometry.neighbours)
    if geometry.bias is not None:
        yield "bias", replace(geometry, bias=geometry.bias * 1.02)
    causal = torch.ones_like(geometry.allowed).tril()
    if not torch.equal(geometry.allowed, causal):
        yield "window", replace(geometry, allowed=causal)


class Checked:
    """A model with what its bridge does, to be compared again and again."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.inputs: CheckInputs = parity.inputs_for(
            model.vocabulary, model.unembedding.weight, model.identity.n_context
        )
        self.recording: Recording = record(Original.bridged(model.bridge), self.inputs)

    def refusal(self) -> str:
        """Why it is refused; nothing if it is not."""
        try:
            parity.check(self.model, self.inputs, self.recording)
        except UnsupportedModel as error:
            return str(error)
        return ""


@pytest.mark.parametrize(
    ("architecture", "dtype"),
    [(name, dtype) for name in ARCHITECTURES for dtype in (DTYPES if name in EVERY_DTYPE else DTYPES[:1])],
    ids=str,
)
def test_every_small_mistake_is_seen_in_every_precision(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, architecture: Architecture, dtype: torch.dtype
) -> None:
    checked = Checked(graphs.load(checkpoints.path(architecture), dtype=dtype))
    assert checked.refusal() == ""
    seen = set()
    for name, change in CHANGES.items():
        if change(checked.model.layers[0]) is not None:
            monkeypatch.setattr(parity, "layer_of", lambda block, change=change: change(extraction.layer_of(block)))
            assert checked.refusal(), f"{name} passes"
            seen.add(name)
    assert seen >= EVERYWHERE - NOT_THERE.get(architecture, set()) | SOMEWHERE.get(architecture, set())
    monkeypatch.undo()

    geometries = checked.model.geometries(checked.inputs.tokens.shape[1])
    seen = set()
    for index, geometry in enumerate(geometries):
        for name, other in unlike_positionals(geometry):
            checked.model._geometries[len(geometry.allowed[0])] = (
                *geometries[:index],
                other,
                *geometries[index + 1 :],
            )
            assert checked.refusal(), f"{name} of layer {index} passes"
            seen.add(name)
    assert ("rotation" in seen) == ("pairs" in seen) == (architecture not in UNTURNED)
    assert ("window" in seen) == (architecture in WINDOWED)
    assert ("bias" in seen) == (architecture == "bloom")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_mistake_at_the_end_is_seen(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    checked = Checked(graphs.load(checkpoints.path("gemma2"), dtype=dtype))
    changes: list[Callable[[Unembedding], Unembedding]] = [
        lambda end: replace(end, norm=replace(end.norm, eps=10 * end.norm.eps)),
        lambda end: replace(end, soft_cap=None),
        lambda end: replace(end, weight=end.weight.roll(1, 0)),
    ]
    for change in changes:
        monkeypatch.setattr(
            parity, "unembedding_of", lambda bridge, change=change: change(extraction.unembedding_of(bridge))
        )
        assert checked.refusal().startswith("our unembedding of ")


def test_a_mistake_in_the_order_of_the_parts_is_seen(checkpoints: Checkpoints) -> None:
    for architecture, parallel in (("gpt_neox", False), ("gpt_neox_sequential", True)):
        checked = Checked(graphs.load(checkpoints.path(architecture)))  # type: ignore[arg-type]
        checked.model = replace(checked.model, graph=replace(checked.model.graph, parallel=parallel))
        assert "our MLP of layer 0" in checked.refusal()


@pytest.mark.parametrize(
    ("dtype", "factor"), [(torch.float32, 1e5), (torch.bfloat16, 1e5), (torch.float16, 2e4)], ids=str
)
@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gpt_neox"])
def test_large_residual_streams_are_no_reason_to_refuse(
    checkpoints: Checkpoints, tmp_path: Path, architecture: Architecture, dtype: torch.dtype, factor: float
) -> None:
    directory = Path(shutil.copytree(checkpoints.path(architecture), tmp_path / "large"))

    def enlarge(weights: dict[str, torch.Tensor]) -> None:
        for name, weight in weights.items():
            if "embed_in" in name or "embed_tokens" in name:
                weight.mul_(factor)

    change_weights(directory, enlarge)
    model = graphs.load(directory, dtype=dtype)
    assert model.embed(torch.arange(10)[None]).abs().max() > factor


@pytest.mark.parametrize("architecture", [*EVERY_DTYPE, "mixtral", "olmo2", "gptj"])
def test_confident_attention_in_half_precision_is_no_reason_to_refuse(
    checkpoints: Checkpoints, tmp_path: Path, architecture: Architecture
) -> None:
    """Rounding moves the logits of such a model by more than a tenth of their size, and the original's likewise."""
    directory = Path(shutil.copytree(checkpoints.path(architecture), tmp_path / "confident"))
    matrices = lambda weights: [weight.mul_(8) for weight in weights.values() if weight.ndim == 2]  # noqa: E731
    change_weights(directory, matrices)
    for dtype in (torch.bfloat16, torch.float64):
        assert graphs.load(directory, dtype=dtype).dtype == dtype


def test_what_half_precision_cannot_hold_is_refused(checkpoints: Checkpoints, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(checkpoints.path("llama"), tmp_path / "large"))
    change_weights(directory, lambda weights: weights["lm_head.weight"].mul_(3e4))
    assert graphs.load(directory).logits(torch.arange(10)[None]).isfinite().all()
    with pytest.raises(UnsupportedModel, match=r"are not finite in torch.float16; load it in a wider precision"):
        graphs.load(directory, dtype=torch.float16)


def test_a_large_vocabulary_is_compared_in_some_of_its_rows(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "_ROWS", 5)
    checked = Checked(graphs.load(checkpoints.path("gpt2")))
    assert checked.recording.logits.shape[-1] == 5
    assert (checked.inputs.rows[0], checked.inputs.rows[-1]) == (0, len(checked.model.unembedding.weight) - 1)
    assert checked.refusal() == ""


@pytest.mark.parametrize("name", NATIVES)
def test_native_models_are_checked_by_their_bridge(monkeypatch: pytest.MonkeyPatch, name: Native) -> None:
    checked = Checked(from_bridge(native_bridge(name, dtype=torch.float32)))
    change = CHANGES["scale"]
    monkeypatch.setattr(parity, "layer_of", lambda block: change(extraction.layer_of(block)))
    assert checked.refusal().startswith("our attention of layer 0 of bridge differs from the model's own by ")


def test_nothing_that_cancels_exactly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that writes nothing but the rounding of its terms has no size to compare with."""
    bridge = native_bridge("relu")
    with torch.no_grad():
        for layer in bridge.original_model.layers:
            for name, weight in layer.named_parameters():
                if ".o." in name or "fc_out" in name:
                    weight.zero_()
    checked = Checked(from_bridge(bridge))
    keep = Mlp.__call__
    monkeypatch.setattr(Mlp, "__call__", lambda self, x: keep(self, x) + 1e-15 * x)
    assert checked.refusal() == ""


def test_a_check_leaves_weights_where_they_were(checkpoints: Checkpoints) -> None:
    checked = Checked(graphs.load(checkpoints.path("gemma3"), dtype=torch.bfloat16))
    weights = list(checked.model.bridge.original_model.parameters())
    before = [(weight.data_ptr(), weight.dtype, weight._version) for weight in weights]
    checked.refusal()
    record(Original.bridged(checked.model.bridge), checked.inputs)
    assert before == [(weight.data_ptr(), weight.dtype, weight._version) for weight in weights]
    assert not any(module._forward_hooks for module in checked.model.bridge.modules())


def test_a_device_without_float64_is_checked_in_float32(checkpoints: Checkpoints) -> None:
    checked = Checked(graphs.load(checkpoints.path("gemma2"), dtype=torch.bfloat16))
    checked.inputs = replace(checked.inputs, residual=checked.inputs.residual.float())
    checked.recording = record(Original.bridged(checked.model.bridge), checked.inputs)
    assert checked.recording.logits.dtype == torch.float32
    assert checked.refusal() == ""
    checked.recording = replace(checked.recording, logits=checked.recording.logits * 1.01)
    assert checked.refusal().startswith("our unembedding of ")
