"""What a discovery holds in memory, in bytes, worked out from shapes alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.long_prompts import KEPT, SCORES
from acdc.graphs.nodes import SLOTS

MEMORY_FACTOR = 4
"""How many times the memory of a batch of trials the runs of all prompts may take."""
LITTLE = 1 << 30
"""Up to how many bytes of runs are made of all prompts, and kept, where only a part of them is wanted yet."""
_COPIES = 5
"""Of the logits of all circuits that a metric holds at once, KL the most."""
_TRIALS, _DECIDED, _CACHE, _UNEMBEDDED = 8, 32, 1 << 23, 4
"""16 trials run together at least, of about half of the model; more, if they are small, and 64 where bounds decide, if
there are as many senders. So many copies of the logits of each are held, and where bounds decide, of two.
"""
_OF_BOUNDS, _PART, _FEWEST = 4, 8, 16
"""How many probabilities of every token the bounds on KL hold at once, in float64; of which part of the vocabulary the
likeliest tokens are at most, and how many they are at least: `acdc.algorithms.kl_bounds`."""
_JUDGED = 3
"""Circuits that are measured together in the end."""
_MEASURED = 1 << 30
"""About how many bytes circuits that are measured may take, `graphs.execution.executor`."""
_OF_NORM, _OF_SLOT, _OF_SCORES = 2, 2, 2
"""How many tensors a gradient keeps: of the width of the stream for a norm, of a head's width for each of its queries,
keys and values, and of attention scores."""


@dataclass(frozen=True)
class Footprint:
    """What is run: prompts of so many `tokens` in all, scored in `rows`, on a graph with a vocabulary.

    `itemsize` is the bytes of a number; `ablated` says whether missing edges carry something of each token's own, as
    under resample ablation, or the same whatever the prompt.
    """

    graph: ComputationalGraph
    vocabulary: int
    itemsize: int
    rows: int
    tokens: int
    ablated: bool = True

    @property
    def stream(self) -> int:
        """One residual stream of all tokens."""
        return self.tokens * self.graph.d_model * self.itemsize

    @property
    def runs(self) -> int:
        """The clean and the ablated run: what every sender writes in each, and the residual streams that are read."""
        graph = self.graph
        reads = graph.n_layers * (1 + (graph.has_mlp and not graph.parallel)) + 1
        return self.stream * (len(graph.senders) * (1 + self.ablated) + 2 * reads)

    @property
    def logits(self) -> int:
        """The logits of the whole model at every scored position."""
        return self.rows * self.vocabulary * self.itemsize

    def trials(self, max_bytes: int, *, vocabulary: bool) -> int:
        """The state of a circuit on trial, and a batch of candidate removals, which `max_bytes` bounds.

        `vocabulary` says whether the metric looks at all logits of each, as KL does, which has bounds besides.
        """
        state = self.stream * (len(self.graph.senders) + self.graph.reading_parts)
        bounds = self.bounds if vocabulary else 0
        together, unembedded = _TRIALS, 2 * _TRIALS * vocabulary
        if bounds:
            together, unembedded = max(_TRIALS, min(_DECIDED, len(self.graph.senders) // 2)), 2
        return min(max_bytes, max(together * state, _CACHE) + unembedded * _UNEMBEDDED * self.logits) + state + bounds

    @property
    def bounds(self) -> int:
        """What bounds on KL hold, of all tokens, of the rows of the likeliest and of all in bfloat16; nothing in half
        precision.
        """
        if self.itemsize < 4:
            return 0
        likeliest = min(self.vocabulary, max(_FEWEST, self.vocabulary // _PART))
        rows = (likeliest * self.itemsize + 2 * self.vocabulary) * self.graph.d_model
        return (8 * _OF_BOUNDS + self.itemsize + 4) * self.rows * self.vocabulary + rows

    @property
    def measuring(self) -> int:
        """What measuring the circuits takes that are compared in the end."""
        circuit = (len(self.graph.senders) + 8 * self.graph.n_heads + 10) * self.stream
        return min(_JUDGED * circuit, _MEASURED) + _JUDGED * _COPIES * self.logits

    def gradient(self, d_head: int, widths: int, length: int) -> int:
        """What scoring all edges by one gradient takes: what is kept for it, a layer's inner products, and the scores.

        `widths` are those of all that an MLP makes on the way of a token, added up over the layers; `length` is that of
        the prompts.
        """
        contracted = self.stream * 4 * self.graph.n_heads
        scores = 8 * 4 * len(self.graph.receivers) * len(self.graph.senders)
        return self.kept_for_gradient(d_head, widths, length) + contracted + scores + 2 * self.logits

    def kept_for_gradient(self, d_head: int, widths: int, length: int) -> int:
        """What a run keeps of all its layers until the gradient has gone back through them.

        Scores of long prompts, and what MLPs make of many tokens, are computed again instead.
        """
        again = self.graph.n_heads * self.tokens * length > SCORES
        widths = 0 if self.tokens * self.graph.d_model * self.graph.n_layers > KEPT else widths
        head = (len(SLOTS) * _OF_SLOT + 1) * d_head + (0 if again else _OF_SCORES * length)
        layer = self.graph.n_heads * head + 2 * (1 + _OF_NORM) * self.graph.d_model
        return self.tokens * (self.graph.n_layers * layer + widths) * self.itemsize

    def training(self, max_bytes: int, prompts: int, longest: int) -> int:
        """What a training step of masks takes on at most so many prompts, as few as fit into `max_bytes`."""
        one = bytes_per_masked_prompt(self.graph, longest, self.itemsize)
        return one * max(1, min(prompts, self.rows, max_bytes // one))

    def peak(self, working: int) -> int:
        """The most that is held at once, be it while searching or while measuring circuits.

        The runs of as many prompts to judge by are held beside those of the search, if they are little.
        """
        others = self.runs + self.logits if self.runs <= LITTLE else 0
        return others + self.runs + self.logits + max(working, self.measuring)

    def batch(self, limit: int, longest: int) -> Footprint:
        """That of the prompts that run together where runs are to take `limit` bytes at most, or of one prompt."""
        if self.runs <= limit:
            return self
        prompts = max(1, limit * self.tokens // (longest * self.runs))
        tokens = min(self.tokens, prompts * longest)
        return replace(self, tokens=tokens, rows=max(1, self.rows * tokens // self.tokens))


def bytes_per_masked_prompt(graph: ComputationalGraph, length: int, itemsize: int) -> int:
    """About all that the gradient of masks over all edges needs of one prompt of that length.

    That is, what every sender writes, twice, and its slope; and per head three inputs, normed, with their slopes; and
    per part of an MLP that reads for itself its input, normed, what an MLP makes of it on the way, and their slopes.
    """
    streams = 3 * len(graph.senders) + 12 * (graph.n_layers * graph.n_heads + graph.reading_parts)
    return streams * length * graph.d_model * itemsize
