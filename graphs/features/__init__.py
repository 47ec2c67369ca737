"""Features of what parts of a model write: sparse autoencoders and transcoders, read from files and checked."""

from acdc.graphs.features.dictionary import Dictionary as Dictionary
from acdc.graphs.features.loading import load as load
