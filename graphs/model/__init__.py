"""The only door to TransformerLens: loading a model, checking it, and its arithmetic as functional parts."""

from acdc.graphs.model.loading import from_bridge as from_bridge
from acdc.graphs.model.loading import load as load
from acdc.graphs.model.transformer import Model as Model
