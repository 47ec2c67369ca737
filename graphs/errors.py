"""What can go wrong in `graphs`.

GraphsError (ValueError)
|-- BadName            a text that is no node's or edge's name
|-- NotInGraph         a node or edge that this model does not have
|-- NotInCircuit       an edge that is asked of a circuit which does not have it; a KeyError too
|-- DifferentGraphs    two circuits, or a circuit and a model, that do not belong together
|-- BadCircuitFile     a file that is no circuit of ours
|-- NoConstants        optimal ablation without the constants that missing edges are to carry
|-- UnsupportedModel   a model whose arithmetic we do not reproduce
|-- ModelChanged       a model that is no longer what was loaded
|-- ModelNotFound      no model under that name or path
|-- ModelUnreachable   a hub name that needs a network which is not there
|-- BadDevices         devices that a model's layers cannot be put on
|-- BadTokens          token tensors that do not fit each other or the model
|-- BadDictionary      files of features that cannot be read, or do not fit the model
`-- RenderError        a picture that could not be drawn

DoubtfulModel (UserWarning)   a model that may compute or read texts otherwise than it was trained to
"""


class GraphsError(ValueError):
    """Any error a caller of `graphs` can cause; the message says what, got, wanted and remedy."""


class BadName(GraphsError):
    """A text that is no node's or edge's name."""


class NotInGraph(GraphsError):
    """A node or edge that this model does not have."""


class NotInCircuit(GraphsError, KeyError):
    """An edge that is asked of a circuit which does not have it."""

    __str__ = Exception.__str__  # a KeyError's own would put the message in quotes


class DifferentGraphs(GraphsError):
    """Two circuits, or a circuit and a model, whose computational graphs differ."""


class BadCircuitFile(GraphsError):
    """A file that is no circuit of ours: truncated, foreign, or of a later schema."""


class NoConstants(GraphsError):
    """Optimal ablation without the constants that missing edges are to carry, which must be learned first."""


class UnsupportedModel(GraphsError):
    """A model whose arithmetic we do not reproduce, named with the field that is not supported."""


class ModelChanged(GraphsError):
    """A model whose bridge is no longer what was loaded: by dropout, a hook, or other weights."""


class ModelNotFound(GraphsError):
    """No model under that name or path, or a directory that is no checkpoint."""


class ModelUnreachable(GraphsError):
    """A hub name that needs a network which is not there."""


class BadDevices(GraphsError):
    """Devices that the layers of a model cannot be put on: named twice, or more than there are layers."""


class BadTokens(GraphsError):
    """Token tensors that do not fit each other or the model."""


class BadDictionary(GraphsError):
    """Files of features (an autoencoder's or a transcoder's) that cannot be read, or do not fit the model."""


class RenderError(GraphsError):
    """A picture that could not be drawn or written."""


class DoubtfulModel(UserWarning):
    """A model that loads, but may compute or split texts otherwise than it was trained to."""
