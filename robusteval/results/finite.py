"""What is not a finite number is no prediction: it is refused where logits are made and where they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from robusteval.errors import UserError

# So many rows are named.
NAMED = 5


class NotFinite(UserError):
    """A model gave rows without finite logits."""


def check_finite(logits: npt.NDArray[np.floating[Any]], what: str = "rows", names: Sequence[str] | None = None) -> None:
    """Raise NotFinite unless all logits [n, K] are finite; the error counts the rows and names the first ones.

    what: whose rows these are ("dev rows"); names: of the rows [n], else their places are told, from 0.
    """
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(bad):
        first = ", ".join(str(row) if names is None else names[row] for row in bad[:NAMED])
        more = ", ..." if len(bad) > NAMED else ""
        raise NotFinite(
            f"model: {len(bad)} of {len(logits)} {what} {'has' if len(bad) == 1 else 'have'} no finite logits "
            f"(row {first}{more}), and what is not a number is no prediction; look for NaN in the checkpoint's "
            "weights, or train it again at a lower rate"
        )
