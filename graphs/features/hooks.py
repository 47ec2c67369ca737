"""Places in a model where dictionaries read and write, by the names that their files give them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from acdc.graphs.errors import BadDictionary
from acdc.graphs.nodes import Node, SplitKind

Site = Literal["resid_pre", "resid_mid", "resid_post", "attn_z", "attn_out", "mlp_in", "mlp_out"]
SITES: tuple[Site, ...] = get_args(Site)

_KNOWN: dict[str, Site] = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_mlp_in": "resid_mid",
    "hook_resid_post": "resid_post",
    "attn.hook_z": "attn_z",
    "hook_attn_out": "attn_out",
    "ln2.hook_normalized": "mlp_in",
    "mlp.hook_in": "mlp_in",
    "hook_mlp_out": "mlp_out",
    "mlp.hook_out": "mlp_out",
}
"""What TransformerLens, and circuit-tracer after it, call the places of a layer."""
_IN_A_LAYER = re.compile(r"blocks\.(\d{1,4})\.(.+)")


@dataclass(frozen=True)
class Hook:
    """A place in a layer: the residual stream before, between and after attention and MLP, what these write, the
    values that heads gather (`attn_z`, heads side by side), or what the MLP reads behind its norm (`mlp_in`).
    """

    site: Site
    layer: int

    def __str__(self) -> str:
        name = next(name for name, site in _KNOWN.items() if site == self.site)
        return f"blocks.{self.layer}.{name}"

    @property
    def split(self) -> tuple[int, SplitKind] | None:
        """Which layer's node features there are parts of; None where they are parts of none."""
        match self.site:
            case "mlp_out" | "resid_mid" | "resid_post":
                return self.layer, "mlp" if self.site == "mlp_out" else self.site
            case "attn_out" | "attn_z":
                return self.layer, "attention"
            case "resid_pre" if self.layer > 0:
                return self.layer - 1, "resid_post"
            case _:
                return None

    @property
    def node(self) -> str:
        """What features there are behind, in their ids: `m3`, `a3`, or `r3` for the residual stream after layer 3."""
        if self.split is None:
            return f"{self.site}{self.layer}"
        layer, kind = self.split
        return Node(kind, layer).name

    @classmethod
    def parse(cls, name: str, source: str) -> Hook:
        """The place of that name, such as `blocks.3.hook_mlp_out`; `source` is the file that names it.

        Raises: BadDictionary.
        """
        found = _IN_A_LAYER.fullmatch(name)
        if found is None or found[2] not in _KNOWN:
            raise BadDictionary(
                f"{source} is of activations at {name!r}; wanted one of {_wanted()} in a layer, such as "
                "'blocks.3.hook_mlp_out'; use a dictionary of such a place"
            )
        return cls(_KNOWN[found[2]], int(found[1]))

    @classmethod
    def in_layer(cls, layer: int, name: str, source: str) -> Hook:
        """The place of that name in a layer, where a file names it for all layers, such as `hook_mlp_out`.

        Raises: BadDictionary.
        """
        return cls.parse(f"blocks.{layer}.{name}", source)


def _wanted() -> str:
    return ", ".join(_KNOWN)
