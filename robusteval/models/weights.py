"""Every tensor of a checkpoint and of the model it became is accounted for, by name and size.

Only a classification head may be new, and the pooler under it: a masked language model has neither. All else that is
missing, left over or of another size would leave an encoder that was drawn at random, so it is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import load_file

from robusteval.errors import UserError, some
from robusteval.models.checkpoint_folder import Stored

# Modules that training code wraps a model in; their names then stand before those of its tensors.
WRAPPERS = frozenset((
    "module", "model", "base_model", "encoder", "net", "network", "backbone", "auto_model", "_forward_module",
    "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
))  # fmt: skip
# These may stand anywhere in a name.
INNER_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# Parts of names that adapter libraries give to what they put into a model.
ADAPTER_PARTS = ("lora_A", "lora_B", "lora_embedding_A", "base_layer", "modules_to_save", "ia3_l", "adapters")
# Names that a module for the last vectors has, for models that do not name their encoder.
HEAD_NAMES = ("classifier", "score", "head", "classification_head")
# The most names before a tensor's own that are looked for.
DEEPEST = 4


def unwrapped_names(name: str, stored: Collection[str], model: Any) -> dict[str, str]:
    """The names of the tensors in a file -> those without the prefix of a wrapper; empty where they fit as they are.

    model: of the class that is loaded, its parameters maybe without values. UserError for adapters that are not
    merged, for a prefix that is no known wrapper, and where two models lie in the file.
    """
    if parts := [part for part in ADAPTER_PARTS if any(part in key.split(".") for key in stored)]:
        raise UserError(
            f"model: the weights of {name!r} are those of a model with an adapter that is not merged (tensors named "
            f"{parts[0]!r}); merge it with peft (merge_and_unload) and save the result with save_pretrained"
        )
    wanted = _backbone_names(model)
    half = len(wanted) / 4  # each tensor is in there with and without the name of the backbone
    if sum(_modern(key) in wanted for key in stored) > half:
        return {}
    plain = {key: ".".join(part for part in key.split(".") if part not in INNER_WRAPPERS) for key in stored}
    gains: Counter[str] = Counter({"": sum(_modern(key) in wanted for key in plain.values())})
    for key in plain.values():
        parts = key.split(".")
        for depth in range(1, min(DEEPEST, len(parts) - 1) + 1):
            if _modern(".".join(parts[depth:])) in wanted:
                gains[".".join(parts[:depth]) + "."] += 1
    # the shortest of nested prefixes leaves the most of a name
    prefixes: list[str] = []
    for prefix in sorted((prefix for prefix, gain in gains.items() if gain > half), key=len):
        if not any(prefix.startswith(shorter) for shorter in prefixes):
            prefixes.append(prefix)
    if not prefixes:
        return {}
    if len(prefixes) > 1:
        raise UserError(
            f"model: the weights of {name!r} hold several models, under {' and '.join(map(repr, prefixes))}; save the "
            "one that is meant with save_pretrained"
        )
    strange = [part for part in prefixes[0].split(".")[:-1] if part not in WRAPPERS]
    if strange:
        raise UserError(
            f"model: the tensors of {name!r} are named {prefixes[0]}..., which is not how a "
            f"{model.config.model_type!r} model (model_type in config.json) names them; correct model_type or save the "
            "model with save_pretrained"
        )
    read = {key: short.removeprefix(prefixes[0]) for key, short in plain.items()}
    if len(set(read.values())) < len(read):
        raise UserError(
            f"model: the weights of {name!r} hold the same tensor with and without {prefixes[0]!r} before its name; "
            "save the one that is meant with save_pretrained"
        )
    return read


def load_renamed(stored: Mapping[str, Stored], names: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """All tensors of the files, under other names."""
    files = sorted({tensor.file for tensor in stored.values()})
    return {names[key]: tensor for file in files for key, tensor in load_file(file).items()}


def prefix_notice(names: Mapping[str, str]) -> str:
    """What to say of tensors that are read under other names."""
    key, short = next((key, short) for key, short in names.items() if key != short)
    return f"the checkpoint's tensors are named as a wrapper names them; {key} is read as {short}, and so all of them"


def check_encoder(
    name: str,
    model: Any,
    stored: Mapping[str, tuple[int, ...]],
    report: Mapping[str, Iterable[Any]],
    *,
    keep_head: bool,
) -> list[str]:
    """What to say of a model that was loaded; UserError unless its encoder is the one in the file.

    stored: the sizes of the tensors in the file, by the names that they were read under.
    report: transformers' own of loading: missing, unexpected and mismatched keys.
    keep_head: the head must be the file's, too.
    """
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    # later versions of transformers give a name with its two sizes
    mismatched = sorted((key if isinstance(key, str) else key[0] for key in report["mismatched_keys"]), reverse=True)
    sizes = _sizes(model, stored, mismatched)
    encoder = _Encoder(model, stored)
    lost = [key for key in missing if encoder.holds(key)]
    left = [key for key in unexpected if encoder.holds_stored(key)]
    other = [key for key in mismatched if encoder.holds(key)]
    if lost or left or other:
        raise UserError(_unfit(name, lost, left, other, sizes, sum(map(encoder.holds, model.state_dict()))))
    if keep_head and mismatched:
        raise UserError(
            f"model: {name!r} does not fit its config.json: {sizes[mismatched[0]]}; correct the labels (id2label) in "
            "config.json or give the checkpoint that was saved with it"
        )
    if keep_head and missing:
        raise UserError(f"model: {name!r} is not a fine-tuned classifier: its weights lack {some(missing)}")
    notices = []
    if new := [*missing, *mismatched]:
        resized = f"; in the checkpoint {sizes[mismatched[0]]}" if mismatched else ""
        notices.append(f"new and drawn from the seed: {some(_modules(new))}{resized}")
    elif not keep_head:
        notices.append("training begins with the checkpoint's own classification head")
    if unexpected:
        dropped = Counter(_part(key, encoder.prefix) for key in unexpected)
        parts = [f"{part} ({count} {'tensor' if count == 1 else 'tensors'})" for part, count in dropped.items()]
        notices.append(f"left out of the checkpoint, for no classifier has it: {some(parts, 5)}")
    return notices


def check_finite(name: str, model: Any, *, refuse: bool) -> list[str]:
    """Raise UserError where a weight is no finite number; without `refuse`, a notice that names the tensor."""
    for key, tensor in model.named_parameters():
        # a sum is finite only if all are, but for an overflow
        if torch.isfinite(tensor.detach().sum()) or torch.isfinite(tensor).all():
            continue
        count = int((~torch.isfinite(tensor)).sum())
        told = f"{count} of {tensor.numel()} values of {key!r} are no finite numbers"
        if refuse:
            raise UserError(f"model: {name!r} is damaged, or its training diverged: {told}; give another checkpoint")
        return [f"the checkpoint is damaged, or its training diverged: {told}"]
    return []


class _Encoder:
    """Which tensors belong to the encoder below the head and its pooler."""

    def __init__(self, model: Any, stored: Collection[str]) -> None:
        prefix = getattr(model, "base_model_prefix", "")
        self.prefix = f"{prefix}." if prefix and hasattr(model, prefix) else ""
        # of a file that holds the encoder alone, no name bears the prefix
        self._bare = not any(key.startswith(self.prefix) for key in stored)
        self._children = {child for child, _ in getattr(model, prefix or "", model).named_children()}

    def holds(self, key: str) -> bool:
        """Whether a tensor of the model is the encoder's."""
        parts = key.split(".")
        head = "pooler" in parts or (not self.prefix and parts[0] in HEAD_NAMES)
        return key.startswith(self.prefix) and not head

    def holds_stored(self, key: str) -> bool:
        """Whether a tensor of the file, for which the model has no place, was an encoder's."""
        if self.holds(key):
            return True
        parts = key.split(".")
        return self._bare and parts[0] in self._children and "pooler" not in parts


def _unfit(
    name: str, lost: Sequence[str], left: Sequence[str], other: Sequence[str], sizes: Mapping[str, str], count: int
) -> str:
    if len(lost) == count:
        there = f" (there is {left[0]!r})" if left else ""
        return (
            f"model: none of the encoder's weights is in {name!r}: {lost[0]!r} and {count - 1} others are missing"
            f"{there}; save the model with save_pretrained, so that weights and config.json fit each other"
        )
    told = [f"{len(lost)} tensors of the encoder are missing ({some(lost, 2)})"] if lost else []
    told += [f"{len(left)} tensors have no place in it ({some(left, 2)})"] if left else []
    told += [f"{len(other)} of another size: {sizes[other[0]]}"] if other else []
    return (
        f"model: the weights of {name!r} do not fit its config.json: {', and '.join(told)}; give the config.json that "
        "was saved with the weights"
    )


def _sizes(model: Any, stored: Mapping[str, tuple[int, ...]], names: Iterable[str]) -> dict[str, str]:
    """Of some tensors, their two sizes in words."""
    by_name = {_modern(key): shape for key, shape in stored.items()}
    prefix, state = f"{model.base_model_prefix}.", model.state_dict()
    told = {}
    for key in names:
        found = by_name.get(key, by_name.get(key.removeprefix(prefix)))
        there = _size(found) if found is not None else "of another size"
        told[key] = f"{key} is {there} in the file but {_size(state[key].shape)} in the model"
    return told


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a number"


def _backbone_names(model: Any) -> set[str]:
    """The names of an encoder's tensors, with and without the encoder's own before them."""
    encoder = _Encoder(model, ())
    names = {key for key in model.state_dict() if encoder.holds(key)}
    return names | {key.removeprefix(encoder.prefix) for key in names}


def _modern(key: str) -> str:
    """The name that transformers gives to a tensor of early checkpoints."""
    return key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _modules(keys: Iterable[str]) -> list[str]:
    """The modules that tensors lie in, each once."""
    return list(dict.fromkeys(key.rpartition(".")[0] or key for key in keys))


def _part(key: str, prefix: str) -> str:
    """The part of a model that a tensor lies in, in one or two words."""
    return ".".join(key.split(".")[: 2 if prefix and key.startswith(prefix) else 1])
