"""What runs have in common and one does for all: on disk what methods make before training, in memory tokens."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robusteval.methods.base import Shared
from robusteval.models.encoding import Encoded, encode
from robusteval.models.loading import LoadedModel
from robusteval.runtime.devices import pick_device
from robusteval.runtime.environment import measured_with
from robusteval.settings.codec import content_hash
from robusteval.storage.claims import Held, claimed
from robusteval.storage.files import write_json
from robusteval.tasks.base import Examples
from robusteval.training.state import DamagedState, load_state, save_state

logger = logging.getLogger(__name__)

# Seconds between two looks at what another process makes.
LOOK_EVERY = 0.5
# Bytes of tokens that a process keeps.
MOST = 2**29
_tokens: OrderedDict[tuple[str, str, int], Encoded] = OrderedDict()


@dataclass(frozen=True)
class Common:
    """Where a run finds what others have made, and leaves what it makes for them.

    folder: holds a folder for each thing; it may be removed at any time. names: the things (`Shared.name`) that several
    runs need; any other is made and not kept. device: as in `WorkConfig`; what another machine made is made anew.
    """

    folder: Path
    names: Collection[str] = ()
    device: str = "auto"

    def once(self, shared: Shared, given: Callable[[], list[Any]], make: Callable[[], Any]) -> Any:
        """As `methods.base.Once`: what `make` returns, made by this process, by one before, or by another meanwhile."""
        if shared.name not in self.names:
            return make()
        key = {**shared.plain, "given": given(), "with": measured_with(pick_device(self.device))}
        place = self.folder / f"{shared.name}-{content_hash(key)[:16]}"
        told = False
        while True:
            with ExitStack() as claim:
                try:
                    if (held := _read(place, logging.DEBUG)) is None:
                        claim.enter_context(claimed(place))
                        held = _read(place, logging.WARNING)
                except Held as error:
                    if not told:
                        logger.warning("%s is made by %s, which is waited for", place.name, error.who)
                    told = True
                else:
                    if held is None:
                        held = [make()]
                        write_json(place / "made-from.json", key)
                        save_state(place / "made.safetensors", held)
                    return held[0]
            time.sleep(LOOK_EVERY)


def _read(place: Path, level: int) -> list[Any] | None:
    """What lies there whole; None where there is nothing, or what is damaged, which is said at a level."""
    path = place / "made.safetensors"
    if not path.exists():
        return None
    try:
        held: list[Any] = load_state(path)
    except DamagedState as error:
        logger.log(level, "%s is damaged (%s); it is made anew", path, error)
        return None
    return held


def tokens(loaded: LoadedModel, rows: Examples, max_length: int) -> Encoded:
    """The rows as the model reads them; those that this process met last are kept, and may not be written to."""
    key = (loaded.sha256, rows.fingerprint, max_length)
    encoded = _tokens.pop(key, None)
    if encoded is None:
        encoded = encode(loaded.tokenizer, rows.texts, rows.labels, max_length=max_length)
        for array in _arrays(encoded):
            array.setflags(write=False)
    size = _bytes(encoded)
    while _tokens and size + sum(map(_bytes, _tokens.values())) > MOST:
        _tokens.popitem(last=False)
    if size <= MOST:
        _tokens[key] = encoded
    return encoded


def _arrays(encoded: Encoded) -> list[Any]:
    return [each for each in (encoded.ids, encoded.offsets, encoded.types, encoded.column) if each is not None]


def _bytes(encoded: Encoded) -> int:
    return sum(array.nbytes for array in _arrays(encoded))
