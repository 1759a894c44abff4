"""One answer of a chat model behind an OpenAI-compatible endpoint, local or hosted, over plain HTTP.

The key is read from an environment variable and never from a config, so no record or command line holds it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mi_bsa.core.errors import EndpointError
from mi_bsa.core.http_post import PostError, check_url, check_variable, key_from, post

KEY_VARIABLE = "MI_BSA_API_KEY"


@dataclass(frozen=True)
class Endpoint:
    """Where to ask.

    Attributes:
        url: up to and with its version, such as `http://localhost:8000/v1`.
        model: the name that the endpoint knows.
        key_variable: environment variable, named MI_BSA_..., that holds the bearer token; unset means none
            is sent.
        timeout: seconds to wait for one whole answer.

    Raises `EndpointError` where one of them cannot be used.
    """

    url: str
    model: str
    key_variable: str = KEY_VARIABLE
    timeout: float = 60.0

    def __post_init__(self) -> None:
        try:
            check_url(self.url)
            check_variable(self.key_variable)
        except PostError as bad:
            raise EndpointError(str(bad)) from None

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        temperature: float = 1.0,
        max_tokens: int = 256,
        seed: int = 0,
    ) -> str:
        """The answer's text. Raises `EndpointError` where there is none."""
        body = {
            "model": self.model,
            "messages": [dict(m) for m in messages],
            "temperature": temperature,
            "max_tokens": max_tokens,
            "seed": seed % 2**31,
        }
        address = f"{self.url.rstrip('/')}/chat/completions"
        try:
            key = key_from(self.key_variable)
            answer = post(address, body, key=key, seconds=self.timeout)
            said = answer["choices"][0]["message"]["content"]
        except PostError as bad:
            raise EndpointError(
                f"{address}: {bad}; check the address, the key in {self.key_variable}, and that it runs"
            ) from None
        except (KeyError, IndexError, TypeError):
            raise EndpointError(
                f"{address}: the answer has no choices[0].message.content; give an OpenAI-compatible endpoint"
            ) from None
        return key.hide_in(said) if isinstance(said, str) else ""
