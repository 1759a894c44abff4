"""One answer of a chat model behind an OpenAI-compatible endpoint, local or hosted, over plain HTTP.

The key is read from an environment variable and never from a config, so no record or command line holds it.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mi_bsa.errors import EndpointError

KEY_VARIABLE = "MI_BSA_API_KEY"


@dataclass(frozen=True)
class Endpoint:
    """Where to ask.

    Attributes:
        url: up to and with its version, such as `http://localhost:8000/v1`.
        model: the name that the endpoint knows.
        key_variable: environment variable that holds the bearer token; unset means none is sent.
        timeout: seconds to wait for one answer.
    """

    url: str
    model: str
    key_variable: str = KEY_VARIABLE
    timeout: float = 60.0

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
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self.key_variable)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        address = f"{self.url.rstrip('/')}/chat/completions"
        if not address.startswith(("http://", "https://")):
            raise EndpointError(f"{self.url!r} is no address of an endpoint; give http://... or https://...")
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                said = json.load(answer)["choices"][0]["message"]["content"]
        except (urllib.error.URLError, TimeoutError, ConnectionError) as bad:
            raise EndpointError(
                f"{address}: no answer ({bad}); check the address, the key in {self.key_variable}, and that "
                "it runs"
            ) from None
        except (ValueError, KeyError, IndexError, TypeError):
            raise EndpointError(
                f"{address}: the answer has no choices[0].message.content; give an OpenAI-compatible endpoint"
            ) from None
        return said if isinstance(said, str) else ""
