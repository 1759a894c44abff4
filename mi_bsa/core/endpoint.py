"""A chat model behind an OpenAI-compatible endpoint, local or hosted, asked over HTTP.

The key is read from an environment variable and never from a config, so no record or command line holds it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mi_bsa.core.errors import EndpointError
from mi_bsa.core.http_post import RETRIES, Key, PostError, check_url, check_variable, key_from, post_all

KEY_VARIABLE = "MI_BSA_API_KEY"

Conversation = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Endpoint:
    """Where to ask.

    Attributes:
        url: up to and with its version, such as `http://localhost:8000/v1`.
        model: the name that the endpoint knows.
        key_variable: environment variable, named MI_BSA_..., that holds the bearer token; unset means none
            is sent.
        timeout: seconds to wait for one whole answer.
        retries: times a request is sent again where the endpoint is busy or gone, when its `Retry-After` has
            passed.

    Raises `EndpointError` where one of them cannot be used.
    """

    url: str
    model: str
    key_variable: str = KEY_VARIABLE
    timeout: float = 60.0
    retries: int = RETRIES

    def __post_init__(self) -> None:
        try:
            check_url(self.url)
            check_variable(self.key_variable)
        except PostError as bad:
            raise EndpointError(str(bad)) from None

    @property
    def address(self) -> str:
        """Where requests go."""
        return f"{self.url.rstrip('/')}/chat/completions"

    def complete(
        self, messages: Conversation, *, temperature: float = 1.0, max_tokens: int = 256, seed: int = 0
    ) -> str:
        """The answer's text. Raises `EndpointError` where there is none."""
        return self.complete_all([messages], [seed], temperature=temperature, max_tokens=max_tokens)[0]

    def complete_all(
        self,
        conversations: Sequence[Conversation],
        seeds: Sequence[int],
        *,
        temperature: float = 1.0,
        max_tokens: int = 256,
    ) -> list[str]:
        """One answer a conversation, several asked beside each other. Raises `EndpointError` where one has
        none.
        """
        bodies = [
            {
                "messages": [dict(message) for message in messages],
                "temperature": temperature,
                "max_tokens": max_tokens,
                "seed": seed % 2**31,
            }
            for messages, seed in zip(conversations, seeds, strict=True)
        ]
        said = [choices[0]["message"]["content"] for choices in self.choices(bodies)]
        return [text if isinstance(text, str) else "" for text in said]

    def choices(
        self, bodies: Sequence[Mapping[str, Any]], done: Callable[[int, Any], None] | None = None
    ) -> list[Any]:
        """The `choices` that answer each body, whose `model` is this one's; each holds a message with
        `content`, without the key.

        `done` is told the place and the choices of each as soon as they are there. Raises `EndpointError`
        where there are none.
        """
        try:
            key = key_from(self.key_variable)

            def told(n: int, answer: Any) -> None:
                if done is not None:
                    done(n, self._choices(answer, key))

            answers = post_all(
                self.address,
                [{"model": self.model, **body} for body in bodies],
                key=key,
                seconds=self.timeout,
                retries=self.retries,
                done=told,
            )
            return [self._choices(answer, key) for answer in answers]
        except PostError as bad:
            raise EndpointError(
                f"{self.address}: {bad}; check the address, the key in {self.key_variable}, and that it runs",
                status=bad.status,
            ) from None

    def _choices(self, answer: Any, key: Key) -> Any:
        """The choices of an answer. Raises `EndpointError` where it is no chat's."""
        try:
            choices = [{**choice, "message": dict(choice["message"])} for choice in answer["choices"]]
            for choice in choices:
                said = choice["message"]["content"]
                choice["message"]["content"] = key.hide_in(said) if isinstance(said, str) else said
            _ = choices[0]
            return choices
        except (KeyError, IndexError, TypeError, ValueError):
            raise EndpointError(
                f"{self.address}: the answer has no choices[0].message.content; give an OpenAI-compatible "
                "endpoint"
            ) from None
