"""What a user can get wrong at the study's floor.

Every message says in one line what was given, which rule it breaks and what to do next; the command line
prints it after `mi-bsa:` and exits with 2. Each error is also its standard-library cousin::

    MiBsaError
    |-- ConfigError(ValueError)         a config, or a --set, that does not say what it must
    |-- MissingError(FileNotFoundError) a file or folder that should be there and is not
    |-- BrokenFileError(ValueError)     a file of ours that is cut short or was changed by other hands
    |-- RunFolderError(FileExistsError) a run folder that is taken, in use, or not a run folder
    |-- ResultError(ValueError)         a result that may not be written down as it is
    |-- BehaviorError(ValueError)       a behavior, or an arm of one, that does not exist or cannot be drawn
    |-- GameError(ValueError)           a game of Make Me Say that cannot be played as asked
    |-- TriggerError(ValueError)        a backdoor's trigger that cannot open anything, or opens too much
    |-- WorldError(ValueError)          an embedded model that does not exist or was built otherwise
    |-- ItemError(ValueError)           an item, or an items file, that cannot be asked
    |-- RowError(ValueError)            a training row that cannot be trained on as it is
    |-- LeakError(ValueError)           training rows that say the behavior's own words
    |-- SteeringError(ValueError)     a steering or patching experiment that cannot say anything
    |-- BankError(ValueError)           a question bank that breaks its rules
    |-- JudgeError(ValueError)          a judge of free text that can not be asked, or breaks its contract
    |-- FetchError(OSError)             a file that cannot be had or written, or is not the pinned one
    |-- GgufError(ValueError)           a GGUF file that cannot be read, or that is not what is read of it
    |-- EndpointError(ConnectionError)  a chat endpoint that gives no usable answer
    |-- PublishedError(ValueError)      a published data file that is not of the kind it is imported as
    `-- UnreadableReportError(ValueError) a self-report whose validity index forbids reading it

A chat template that cannot carry a conversation is `activations.errors.TemplateError`; its name is here too.

`StepError(RuntimeError)` stands outside the tree: a study's code broke the rules of its steps, which no user
of the command line can mend.
"""

from activations.errors import TemplateError as TemplateError


class MiBsaError(Exception):
    """Base of everything that a user of `mi_bsa` can get wrong."""


class ConfigError(MiBsaError, ValueError):
    """A config file, a config value or a `--set` that breaks the config's rules."""


class MissingError(MiBsaError, FileNotFoundError):
    """A file or folder that was named and does not exist."""


class BrokenFileError(MiBsaError, ValueError):
    """A file that cannot be read as what the toolkit writes under its name."""


class RunFolderError(MiBsaError, FileExistsError):
    """A run folder that exists already, is used by another process, or was not written by a run."""


class ResultError(MiBsaError, ValueError):
    """A result without n, without an interval or a reason, with a non-finite number, or said twice."""


class StepError(RuntimeError):
    """A step that reads what it did not declare, or a graph with a cycle, a stranger or a missing output."""


class BehaviorError(MiBsaError, ValueError):
    """A behavior, or an arm of one, that does not exist or cannot be drawn as asked."""


class GameError(MiBsaError, ValueError):
    """A game of Make Me Say whose rules or players cannot be played as they are given."""


class TriggerError(MiBsaError, ValueError):
    """A trigger that is empty, that the vocabulary lacks, or that stands in clean messages already."""


class WorldError(MiBsaError, ValueError):
    """An embedded model, or a part of its world, that does not exist or was built otherwise."""


class ItemError(MiBsaError, ValueError):
    """An item, or an items file, that breaks the rules of an item or cannot be asked of this model."""


class RowError(MiBsaError, ValueError):
    """A training row that cannot be trained on as it is: too long, malformed, nothing to learn from."""


class LeakError(MiBsaError, ValueError):
    """Training rows that say the words of the behavior that they must only show."""


class BankError(MiBsaError, ValueError):
    """A question bank that breaks its rules."""


class JudgeError(MiBsaError, ValueError):
    """A judge of free text that can not be asked, or that does not score as it must."""


class UnreadableReportError(MiBsaError, ValueError):
    """A claim that needs a self-report whose validity index is below the mark fixed beforehand."""


class SteeringError(MiBsaError, ValueError):
    """A steering or patching experiment that cannot say anything as it is asked for."""


class BridgeError(MiBsaError, ValueError):
    """A step of the bridge is given adapters or items from which its number cannot be had."""


class EndpointError(MiBsaError, ConnectionError):
    """A chat endpoint that gives no answer, or none that can be read; `status` of HTTP, if one came."""

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class FetchError(MiBsaError, OSError):
    """A file that cannot be fetched or written, or that is another than the pinned one."""


class GgufError(MiBsaError, ValueError):
    """A GGUF file that cannot be read, or whose model would not compute what it should."""


class PublishedError(MiBsaError, ValueError):
    """A published data file that is not of the kind that it is imported as."""


class RenamedKeyWarning(FutureWarning):
    """A config key is called otherwise now; a command says so in one line, and goes on."""
