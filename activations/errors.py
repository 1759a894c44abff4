"""The errors of this floor. Each says, in one line: what was given, which rule it breaks, what to do next.

ActivationsError            everything that a user can get wrong here; command lines turn it into exit code 2
|-- SiteError               (ValueError)     a site that does not parse, or that this model does not have
|-- ModelError              (ValueError)     a model that cannot be found, or is left in a state that lies
|   `-- AdapterError        (ValueError)     an adapter that does not match, or that changes nothing
|-- PromptError             (ValueError)     a prompts file or a row that cannot be used
|   |-- PositionError       (ValueError)     a position that a row does not have
|   `-- TemplateError       (ValueError)     a chat template that cannot carry a conversation
|-- EditError               (ValueError)     an edit that cannot mean what was asked
|-- PatchError              (ValueError)     a patching experiment that cannot say anything
|-- BackendError            (RuntimeError)   a framework that is absent, too old, or cannot read a site
`-- StoreError              (OSError)        a cache that exists, is broken, is in use, or is another model's

AdapterWarning              (UserWarning)    an adapter whose record names another base, or an unknown field
"""


class ActivationsError(Exception):
    """The base of every error that a user of this package can cause."""


class SiteError(ActivationsError, ValueError):
    """A site that does not parse, or that the model at hand does not have."""


class ModelError(ActivationsError, ValueError):
    """A model that cannot be found or loaded, or that is in a state in which its activations would lie."""


class AdapterError(ModelError):
    """An adapter that is absent, does not match the model, or changes nothing."""


class AdapterWarning(UserWarning):
    """An adapter whose record names another base, or a field that PEFT does not know."""


class PromptError(ActivationsError, ValueError):
    """A prompts file, or one row of it, that cannot be used as it is."""


class PositionError(PromptError):
    """A position that does not parse, or that a row does not have."""


class TemplateError(PromptError):
    """A chat template that cannot carry a conversation token by token, or that does not end."""


class EditError(ActivationsError, ValueError):
    """An edit that cannot mean what was asked for."""


class PatchError(ActivationsError, ValueError):
    """A patching experiment that cannot say anything: a constant metric, runs that do not differ, nothing to
    patch."""


class BackendError(ActivationsError, RuntimeError):
    """A backend whose framework is absent or too old, or that cannot read a site."""


class StoreError(ActivationsError, OSError):
    """A cache that exists already, is broken or in use, or was made by another model."""


def first_line(error: BaseException, most: int | None = None) -> str:
    """What another package's error says, in one line of at most so many characters, or what it is called."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]
