"""The only door to TransformerLens: loading a model, checking it, and its arithmetic as functional parts."""

from graphs.model.loading import from_bridge as from_bridge
from graphs.model.loading import load as load
from graphs.model.transformer import Model as Model
