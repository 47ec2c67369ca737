"""How result files are written: tried before the work starts, each whole or not at all; `run_directory` says where."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from acdc.discovery.checkpoint import ROUNDS
from acdc.errors import UnwritableOutput
from acdc.graphs.errors import RenderError

if TYPE_CHECKING:
    from acdc.graphs.circuit import Circuit
    from acdc.graphs.constants import Constants
    from acdc.graphs.nodes import Edge

TEXTS = ("circuit.json", "circuit.dot")
PICTURES = ("circuit.svg", "circuit.png")
ATTACK = "attack.json"
REPAIR = ("repair.svg", "repair.png")
PICTURED = 500
"""How many edges the pictures of a result show at most; more make files of tens of megabytes that nobody can read."""

Writer = Callable[[Path], None]


@dataclass(frozen=True)
class WrittenFiles:
    """The files that were written, why there are no pictures among them, if so, and what these leave out, if so."""

    files: tuple[Path, ...]
    undrawn: RenderError | None = None
    left_out: str = ""


@dataclass(frozen=True)
class Destination:
    """A directory for results and their pictures; it is created only when there is something to put there."""

    directory: Path

    @property
    def checkpoint(self) -> Path:
        """Where a discovery keeps how far it is until it ends."""
        return self.directory / "checkpoint.json"

    def forget(self) -> None:
        """Remove what an interrupted discovery goes on from: it has ended."""
        self.checkpoint.unlink(missing_ok=True)
        self.checkpoint.with_name(ROUNDS).unlink(missing_ok=True)

    def check(self, names: Sequence[str] = (*TEXTS, *PICTURES)) -> None:
        """Make sure that the directory can be created and these files written there, and leave no trace of it.

        Raises: UnwritableOutput.
        """
        try:
            with tempfile.TemporaryFile(dir=self._nearest()):
                pass
        except OSError as error:
            raise self.unwritable(error) from error
        for name in names:
            if (self.directory / name).is_dir():
                raise UnwritableOutput(
                    f"{self.directory / name} is a directory where a file is to be written; give another one with --out"
                )

    def write(self, circuit: Circuit, title: str, joining: Mapping[Edge, float | None] | None = None) -> WrittenFiles:
        """Write the circuit as JSON, DOT, SVG and PNG; where no picture can be drawn, write the others.

        Of a large circuit SVG and PNG show the `PICTURED` strongest edges, and say so. Every edge that the search knows
        of (`joining`) goes beside them, for circuits of other sizes.

        Raises: UnwritableOutput.
        """
        from acdc.discovery import joining_file
        from acdc.graphs.drawing.render import render

        pictured = circuit.strongest(PICTURED)
        part = f"the {len(pictured):,} strongest of {len(circuit):,} edges" if len(pictured) < len(circuit) else ""

        def whole(path: Path) -> None:
            render(circuit, path, title=title)

        def drawn(path: Path) -> None:
            render(pictured, path, title=f"{title}: {part}" if part else title)

        def ordered(path: Path) -> None:
            joining_file.write(path, circuit.graph, joining or {})

        texts: dict[str, Writer] = {"circuit.json": circuit.save, "circuit.dot": whole}
        if joining:
            texts[joining_file.NAME] = ordered
        written = self._write(texts, dict.fromkeys(PICTURES, drawn))
        if not part or written.undrawn:
            return written
        again = f"acdc show {self.directory} --render FILE.svg"
        return replace(written, left_out=f"{' and '.join(PICTURES)} show {part}; `{again}` draws all")

    def write_attack(
        self, text: str, circuit: Circuit, repaired: Circuit, title: str, constants: Constants | None = None
    ) -> WrittenFiles:
        """Write an attack's result and, where there is a repair, the circuit with it as SVG and PNG, if one can draw.

        The constants that missing edges carried, if there are any, go beside them.

        Raises: UnwritableOutput.
        """
        from acdc.graphs.drawing.render import render_difference

        def drawn(path: Path) -> None:
            render_difference(circuit, repaired, path, names=("the circuit", "its repair"), title=title)

        def written(path: Path) -> None:
            path.write_text(text, "utf-8")
            if constants is not None:
                constants.save(path.parent)

        return self._write({ATTACK: written}, dict.fromkeys(REPAIR, drawn if repaired.edges > circuit.edges else None))

    def _write(self, texts: Mapping[str, Writer], pictures: Mapping[str, Writer | None]) -> WrittenFiles:
        """Write all texts and, if they can be drawn, all pictures; one that there is none of now is removed."""
        drawable = {name: draw for name, draw in pictures.items() if draw is not None}
        undrawn, names = None, list(texts)
        try:
            with tempfile.TemporaryDirectory(dir=self._nearest(), prefix=".acdc-") as made_in:
                room = Path(made_in)
                for name, write in texts.items():
                    write(room / name)
                brought = sorted({path.name for path in room.iterdir()} - {*names})  # constants, for example
                try:
                    for name, draw in drawable.items():
                        draw(room / name)
                    names += drawable
                except RenderError as error:
                    undrawn = error
                self.directory.mkdir(parents=True, exist_ok=True)
                for name in (*brought, *names):
                    os.replace(room / name, self.directory / name)
                for name in {*pictures} - {*names}:  # a picture of an earlier result
                    (self.directory / name).unlink(missing_ok=True)
        except OSError as error:
            raise self.unwritable(error) from error
        return WrittenFiles(tuple(self.directory / name for name in (*names, *brought)), undrawn)

    def _nearest(self) -> Path:
        """The directory itself, or the nearest one above it that exists."""
        candidate = self.directory.absolute()
        while not candidate.exists() and candidate != candidate.parent:
            candidate = candidate.parent
        return candidate

    def unwritable(self, error: OSError) -> UnwritableOutput:
        """What to say where something cannot be written there."""
        return UnwritableOutput(
            f"the output directory {self.directory} cannot be written: {error.strerror} ({self._nearest()}); "
            "give a directory that you can write to with --out"
        )
