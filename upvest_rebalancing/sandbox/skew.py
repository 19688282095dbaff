"""How far a sandbox's clock is off; it can be set while the sandbox runs."""

import math
from typing import Final

_LONGEST: Final = 10 * 365 * 86_400


class Skew:
    """The seconds between what a sandbox's clock shows and the true time.

    Args:
        seconds: How far the clock is ahead; negative for behind.

    Raises:
        ValueError: It is no number, or more than ten years.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds: float = checked_skew(seconds)

    def set(self, seconds: object) -> None:
        """Let the clock jump.

        Args:
            seconds: How far it is ahead of the true time from now on; negative for behind.

        Raises:
            ValueError: It is no number, or more than ten years.
        """
        self.seconds = checked_skew(seconds)


def checked_skew(value: object) -> float:
    """Return a skew, if it is one.

    Args:
        value: Anything.

    Raises:
        ValueError: It is no number, or more than ten years.
    """
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not math.isfinite(value)
        or abs(value) > _LONGEST
    ):
        message = f"clock_skew={value!r}: must be a number from -{_LONGEST} to {_LONGEST} (seconds)"
        raise ValueError(message)
    return value
