"""The tensors of a dictionary's file, each with the shape it must have; nothing in them is ever run as code."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from acdc.graphs.errors import BadDictionary


@dataclass(frozen=True)
class TensorFile:
    """The tensors of one file by name, in float32 or wider."""

    path: Path
    tensors: Mapping[str, Tensor]

    @classmethod
    def read(cls, path: Path) -> TensorFile:
        """Read a file of safetensors, or numpy's .npz.

        Raises: BadDictionary when it is missing or damaged.
        """
        if not path.is_file():
            raise BadDictionary(f"{path} is missing; copy the whole folder that the dictionary was saved in")
        try:
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as arrays:
                    tensors = {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in arrays.files}
            else:
                tensors = load_file(path)
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, SafetensorError) as error:
            raise BadDictionary(
                f"{path} cannot be read ({str(error).splitlines()[0]}); it is damaged, or not what its name says: get "
                "it again"
            ) from error
        wide = {name: x.to(torch.promote_types(x.dtype, torch.float32)) for name, x in tensors.items()}
        return cls(path, wide)

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def take(self, name: str, *shape: int | None) -> Float[Tensor, "..."]:
        """A tensor of this shape, where None is any length.

        Raises: BadDictionary when it is not there, has another shape, or holds a NaN or an infinite number.
        """
        if name not in self.tensors:
            there = ", ".join(sorted(self.tensors)) or "nothing"
            raise BadDictionary(
                f"{self.path} has no tensor {name!r}, only {there}; wanted the weights of the format that the files "
                "beside it name, so get the folder again or correct its configuration"
            )
        tensor = self.tensors[name]
        fits = len(tensor.shape) == len(shape) and all(
            want in (None, got) for want, got in zip(shape, tensor.shape, strict=True)
        )
        if not fits:
            wanted = "x".join("any" if want is None else str(want) for want in shape)
            got = "x".join(map(str, tensor.shape)) or "a single number"
            raise BadDictionary(
                f"{name} in {self.path} has the shape {got}, wanted {wanted}; weights and configuration are not of one "
                "dictionary, so get the folder again"
            )
        if not torch.isfinite(tensor).all():
            raise BadDictionary(f"{name} in {self.path} holds NaN or infinite numbers; get the file again")
        return tensor.contiguous()
