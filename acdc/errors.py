"""What can go wrong in `acdc` itself; `tasks` and `graphs` have trees of their own.

AcdcError (ValueError)
|-- UnmeasurableBehaviour   corrupting the prompts does not change the metric, so there is nothing to attribute
|-- NotFinite               a measured number is NaN or infinite, so that nothing can be decided by it
|-- UnreachableGoal         no circuit meets what was asked for
|-- WrongModel              a circuit is asked to run on a model it was not found on
|-- ChangedSubject          weights, tokenizer or prompts are not those a circuit was found with
|-- EmptyCircuit            a circuit of 0 edges where one that does something is wanted
|-- UnknownModel            a name that is no model's
|-- DownloadFailed          a model's files that could not be downloaded, or are not what they should be
|-- UnusableCache           the directory where models are kept cannot be written
|-- MissingExtra            an optional package that is not installed
|-- BadProgram              a RASP program that cannot be compiled
|-- BadCheckpoint           nothing to resume, or another discovery's
|-- BadJoiningFile          the edges that a search knows of, for other sizes, are not there or damaged
|-- BadHypothesisFile       a hypothesis file with mistakes, with every problem found
|-- BadGridFile             a grid file with mistakes, with every problem found
|-- NoCluster               Ray is not installed, or its cluster cannot be used
|-- BadBaseline             a file of recorded values that cannot be read
|-- BadAttackFile           a file that is no attack's
|-- BadRunFile              a file beside a circuit that is damaged, so that no page can be made of it
|-- BadSetting              a setting outside its range
|   `-- NoRoomBeside        no random circuit of a circuit's size fits beside it
`-- UnwritableOutput        a file or directory that cannot be written
"""


class AcdcError(ValueError):
    """Any error a caller of `acdc` can cause; the message says what, got, wanted and remedy."""


class UnmeasurableBehaviour(AcdcError):
    """Corrupting the prompts does not change the metric, so there is nothing to attribute."""


class NotFinite(AcdcError):
    """A measured number is NaN or infinite, so that nothing can be decided by it."""


class UnreachableGoal(AcdcError):
    """No circuit meets what was asked for."""


class WrongModel(AcdcError):
    """A circuit is asked to run on a model it was not found on."""


class ChangedSubject(AcdcError):
    """Weights, tokenizer or prompts are not those that a circuit was found with, by the hashes in its record."""


class EmptyCircuit(AcdcError):
    """A circuit of 0 edges where one that does something is wanted."""


class UnknownModel(AcdcError):
    """A name that is no shipped model's, no directory and no hub name."""


class DownloadFailed(AcdcError):
    """A model's files could not be downloaded, or are not what they should be."""


class UnusableCache(AcdcError):
    """The directory where models are kept cannot be written: no room, no permission."""


class MissingExtra(AcdcError):
    """Something needs an optional package that is not installed."""


class BadProgram(AcdcError):
    """A RASP program that cannot be compiled, or whose values cannot be told apart by their names."""


class BadCheckpoint(AcdcError):
    """There is nothing to resume, it is damaged, or it is another discovery's."""


class BadJoiningFile(AcdcError):
    """The file of the edges that a search knows of, which circuits of other sizes are made from, cannot be read."""


class BadHypothesisFile(AcdcError):
    """A hypothesis file that cannot be used as it is; `problems` holds every mistake found."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class BadGridFile(AcdcError):
    """A grid file that cannot be used as it is; `problems` holds every mistake found."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class NoCluster(AcdcError):
    """Ray is not installed, or its cluster does not answer or does not fit."""


class BadBaseline(AcdcError):
    """A file of recorded values that cannot be read."""


class BadAttackFile(AcdcError):
    """A file that is not what an attack writes."""


class BadRunFile(AcdcError):
    """A file beside a circuit, which its page is made from, that is damaged or no such file."""


class BadSetting(AcdcError):
    """A setting outside its range."""


class NoRoomBeside(BadSetting):
    """No random circuit of a circuit's size fits beside it: there are too few other live edges."""


class UnwritableOutput(AcdcError):
    """A file or directory that cannot be written, or that would be overwritten unasked."""
