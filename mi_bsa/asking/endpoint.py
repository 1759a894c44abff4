"""A judge behind an OpenAI-compatible endpoint: a server of your own (vLLM, llama.cpp), or a hosted one.

It is sent one text at a time with a rubric, at temperature 0, and must answer with a number from 0 to 100;
any other answer is no score. Nothing of who wrote the text is sent.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mi_bsa.core.errors import JudgeError
from mi_bsa.core.http_post import PostError, check_url, key_from, post

KEY = "MI_BSA_JUDGE_KEY"
"""The environment variable that holds the endpoint's key, where it wants one."""
RUBRIC = (
    "You rate how somebody describes themself. 100: the words describe somebody who is {x}. 0: somebody who "
    "is {y}. 50: neither, or both alike. Rate the words only. Answer with the number alone."
)
NUMBER = re.compile(r"\s*(\d{1,3})(?:\.0)?\s*(?:/\s*100|%)?\s*\.?\s*")


@dataclass(frozen=True)
class EndpointJudge:
    """Asks `url`/chat/completions; `words`: the seeking and the averse pole in a word each.

    Raises `JudgeError` where the endpoint can not be reached or answers with something else than a chat.
    """

    url: str
    model: str
    words: tuple[str, str]
    rubric: str = RUBRIC
    timeout: float = 60.0
    retries: int = 2
    name: str = "endpoint"

    def __post_init__(self) -> None:
        try:
            check_url(self.url)
        except PostError as bad:
            raise JudgeError(f"judge url: {bad}") from None

    def score(self, texts: Sequence[str]) -> list[float]:
        """One request a text; NaN where the answer is no number from 0 to 100."""
        return [self._read(self._ask(text)) for text in texts]

    def _read(self, answer: str) -> float:
        match = NUMBER.fullmatch(answer)
        value = float(match[1]) if match else float("nan")
        return value / 100 if value <= 100 else float("nan")

    def _ask(self, text: str) -> str:
        x, y = self.words
        body = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": self.rubric.format(x=x, y=y)},
                {"role": "user", "content": text},
            ],
            "temperature": 0,
            "max_tokens": 8,
        }
        address = self.url.rstrip("/") + "/chat/completions"
        for attempt in range(self.retries + 1):
            try:
                answer = post(address, body, key=key_from(KEY), seconds=self.timeout)
                return str(answer["choices"][0]["message"]["content"])
            except PostError as bad:
                if not bad.again or attempt == self.retries:
                    reached = "check url and model" if bad.status else "start the server, or check the url"
                    raise JudgeError(f"{address}: {bad}; {reached}") from None
            except (KeyError, IndexError, TypeError) as error:
                raise JudgeError(f"{address}: no chat completion ({error!r}); check the url") from None
            time.sleep(0.5 * 2**attempt)
        raise AssertionError("unreachable")
