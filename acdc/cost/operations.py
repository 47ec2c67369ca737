"""How many arithmetic operations the pieces of a discovery take, from shapes alone.

Products of matrices are counted. What is done to every number that a receiver reads or a metric looks at, one by one
(norms, sums, copies), waits for memory and takes as long as `_PER_NUMBER` operations; that, and how many forwards a
dense circuit takes, are from runs of SmolLM2-135M on two CPUs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from acdc.graphs.shapes import ModelShape

_PER_NUMBER = 500
_DENSE, _DENSE_EDGES = 6.0, 0.07
"""How many forwards it takes to measure a circuit of so large a part of all edges, and of more."""
_LEAST = 0.3
"""And one of hardly any edges."""


@dataclass(frozen=True)
class Operations:
    """The work on prompts of `tokens` in all, each `length` long, scored in `rows`; `vocabulary` of logits are needed.

    All numbers are of operations on all prompts together.
    """

    shape: ModelShape
    tokens: int
    length: int
    rows: int
    vocabulary: int

    @property
    def forward(self) -> float:
        """A plain run of the model up to the logits that are needed."""
        return self._layers(self.shape.attention) + self.unembedding

    @property
    def unembedding(self) -> float:
        """The logits that are needed, of one circuit, and a metric of them."""
        return self.rows * self.vocabulary * (2.0 * self.shape.graph.d_model + _PER_NUMBER)

    @property
    def gradient(self) -> float:
        """The scores of all edges from one gradient: a run, the way back, and every edge's inner product."""
        graph = self.shape.graph
        back = self._layers(4 * graph.n_layers * graph.n_heads * self.shape.d_head * graph.d_model)
        return self.forward + back + self.unembedding + self._contracted + self._read

    @property
    def without_senders(self) -> float:
        """What every head gathers where its queries, or its keys, read all but one sender, for each of these."""
        graph, d_head = self.shape.graph, self.shape.d_head
        each = 2.0 * d_head * (graph.d_model + 2 * self.length)
        read = _PER_NUMBER * 2 * graph.n_layers * len(graph.senders) / 2 * graph.d_model
        return self.tokens * (2 / 3 * graph.n_edges * each + read)

    @property
    def runs(self) -> float:
        """The clean and the ablated run, and the logits of the whole model."""
        return 2 * self._layers(self.shape.attention) + self.forward

    def measuring(self, edges: float) -> float:
        """A circuit of so many edges, measured by all metrics."""
        every = self.shape.graph.without_spans.n_edges
        part = math.sqrt(min(1.0, edges / (_DENSE_EDGES * every)))
        whole = 2.0 * self.rows * self.shape.graph.d_model * self.shape.vocabulary
        return (_LEAST + (_DENSE - _LEAST) * part) * self._layers(self.shape.attention) + whole

    def _layers(self, attention: float) -> float:
        """One way through all layers, where so many numbers are in the matrices of attention."""
        graph = self.shape.graph
        scores = 2.0 * graph.n_layers * graph.n_heads * self.shape.d_head * self.length
        return 2.0 * self.tokens * (attention + self.shape.mlp + scores)

    @property
    def _contracted(self) -> float:
        # by position, too, every product is of one position and one span
        return 2.0 * self.shape.graph.without_spans.n_edges * self.tokens * self.shape.graph.d_model

    @property
    def _read(self) -> float:
        graph = self.shape.graph.without_spans
        return float(_PER_NUMBER * len(graph.receivers) * self.tokens * graph.d_model)
