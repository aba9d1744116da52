"""Log lines of a running node that do not become a flood, however often their cause comes back."""

import re
import time
from collections.abc import Callable
from typing import Final

#: Lines that differ by numbers and names alone are logged at most so often, s.
LOG_PERIOD: Final = 5.0
#: The very line of a fault that stands, such as intrinsics of another size, at most so often, s.
STANDING_PERIOD: Final = 60.0
_PARTICULARS = re.compile(
    r"""'[^']*'|"[^"]*"|[-+]?\b(?:nan|inf)\b|[-+]?[0-9.]+(?:e[-+]?[0-9]+)?""")
#: Lines remembered before those that no longer matter are forgotten.
_MANY = 100


class QuietLog:
    """Logs a line unless it, or one that says the same of other numbers, was logged just before.

    logger: with `info` and `warning`, such as a node's; clock: seconds that only rise.
    """

    def __init__(self, logger: object, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._said: dict[str, float] = {}

    def info(self, text: str, period: float = LOG_PERIOD) -> None:
        """Log at level INFO, the same line not again within `period` seconds."""
        if self._due(text, period):
            self._logger.info(text)

    def warning(self, text: str, period: float = LOG_PERIOD) -> None:
        """Log at level WARN, the same line not again within `period` seconds."""
        if self._due(text, period):
            self._logger.warning(text)

    def _due(self, text: str, period: float) -> bool:
        now, kind = self._clock(), _PARTICULARS.sub('', text)
        for key, pause in ((kind, LOG_PERIOD), (text, period)):
            if key in self._said and now - self._said[key] < pause:
                return False
        if len(self._said) > _MANY:
            self._said = {key: said for key, said in list(self._said.items())
                          if now - said < STANDING_PERIOD}
        self._said[kind] = self._said[text] = now
        return True
