"""A judge behind an OpenAI-compatible endpoint: a server of your own (vLLM, llama.cpp), or a hosted one.

It is sent one text at a time with a rubric, at temperature 0, and must answer with a number from 0 to 100;
any other answer is no score. Nothing of who wrote the text is sent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mi_bsa.core.endpoint import Endpoint
from mi_bsa.core.errors import EndpointError, JudgeError

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
        self._endpoint()

    def _endpoint(self) -> Endpoint:
        try:
            return Endpoint(self.url, self.model, KEY, self.timeout, self.retries)
        except EndpointError as bad:
            raise JudgeError(f"judge url: {bad}") from None

    def score(self, texts: Sequence[str]) -> list[float]:
        """One request a text, several beside each other; NaN where the answer is no number from 0 to 100."""
        x, y = self.words
        bodies = [
            {
                "messages": [
                    {"role": "system", "content": self.rubric.format(x=x, y=y)},
                    {"role": "user", "content": text},
                ],
                "temperature": 0,
                "max_tokens": 8,
            }
            for text in texts
        ]
        try:
            answers = self._endpoint().choices(bodies)
        except EndpointError as bad:
            reached = "check url and model" if bad.status else "start the server, or check the url"
            raise JudgeError(f"{bad}; {reached}") from None
        return [self._read(str(choices[0]["message"]["content"])) for choices in answers]

    def _read(self, answer: str) -> float:
        match = NUMBER.fullmatch(answer)
        value = float(match[1]) if match else float("nan")
        return value / 100 if value <= 100 else float("nan")
