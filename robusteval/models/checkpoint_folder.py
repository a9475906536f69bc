"""What a checkpoint folder holds, told from file names, JSON and headers: one that cannot be opened is refused here.

Imports no torch, so that a mistake is answered before seconds are spent on importing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from robusteval.errors import UserError, first_line, some

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
CONVERT = "load the model where it comes from and save it with save_pretrained"
# What else weights are saved as, by the ending of the file.
OTHER_WEIGHTS = {
    ".bin": "pickled weights",
    ".pt": "pickled weights",
    ".pth": "pickled weights",
    ".ckpt": "pickled weights",
    ".h5": "TensorFlow weights",
    ".msgpack": "Flax weights",
    ".gguf": "GGUF weights",
    ".onnx": "an ONNX graph",
}
# Beginnings and endings of the files that tokenizers are made of.
TOKENIZER_NAMES = ("tokenizer", "vocab", "merges", "spiece", "sentencepiece", "bpe", "dict", "special_tokens_map")
TOKENIZER_ENDINGS = (".model", ".vocab", ".tiktoken", ".bpe")
LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Stored:
    """A tensor in a file. dtype: as safetensors writes it ("F32", "BF16", "I8")."""

    shape: tuple[int, ...]
    dtype: str
    file: Path


def check_folder(name: str, folder: Path) -> None:
    """Raise UserError, with the remedy, where the folder of the model `name` is no whole, plain checkpoint."""
    _check_adapter(name, folder)
    config = _config(name, folder)
    method = quantisation(config)
    if method:
        raise UserError(
            f"model: {name!r} is quantised ({method}), and a quantised model is neither trained nor tested here; give "
            "the model in full or half precision that it was made from"
        )
    if not model_files(name, folder):
        raise _no_weights(name, folder)
    files = [path.name for path in folder.iterdir()]
    if not any(file.startswith(TOKENIZER_NAMES) or file.endswith(TOKENIZER_ENDINGS) for file in files):
        raise UserError(
            f"model: {name!r} has no tokenizer files (such as tokenizer.json, vocab.txt or spiece.model); save the "
            "tokenizer that the model was trained with into the folder with tokenizer.save_pretrained"
        )


def quantisation(config: dict[str, Any]) -> str:
    """The method that a configuration says its weights are quantised by; empty where they are not."""
    settings = config.get("quantization_config")
    if not settings:
        return ""
    if not isinstance(settings, dict):
        return str(settings)
    method = str(settings.get("quant_method") or "bitsandbytes")
    bits = 8 if settings.get("load_in_8bit") else 4 if settings.get("load_in_4bit") else settings.get("bits")
    return f"{method}, {bits} bit" if bits else method


def model_files(name: str, folder: Path) -> list[Path]:
    """The safetensors files that hold the model: one, or the shards of an index; none where there are none."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        return []
    places = _index(name, folder)
    for shard in sorted(set(places.values())):
        if not (folder / shard).is_file():
            held = sum(place == shard for place in places.values())
            raise UserError(
                f"model: {name!r} lacks the shard {shard!r}, which holds {held} of its {len(places)} tensors by "
                f"{INDEX}; copy or download the folder again"
            )
    return [folder / shard for shard in sorted(set(places.values()))]


def stored_tensors(name: str, folder: Path) -> dict[str, Stored]:
    """Every tensor of the model's files by name; only headers are read.

    UserError where a file is damaged, where shards and index do not name the same tensors, and where weights are
    stored as integers, as quantised ones are.
    """
    found: dict[str, Stored] = {}
    files = model_files(name, folder)
    for file in files:
        with open(file, "rb") as handle:
            pointer = handle.read(len(LFS_POINTER)) == LFS_POINTER
        if pointer:
            raise UserError(f"model: {str(file)!r} is a pointer of git-lfs, not the weights; run git lfs pull")
        try:
            with safe_open(file, framework="np") as tensors:
                for key in tensors.keys():  # noqa: SIM118 (not a dict)
                    part = tensors.get_slice(key)
                    found[key] = Stored(tuple(part.get_shape()), str(part.get_dtype()), file)
        except (SafetensorError, OSError) as error:
            raise UserError(f"model: {str(file)!r} is damaged: {first_line(error)}") from error
    if len(files) > 1 or files[0].name != WEIGHTS:
        _check_index(name, folder, found)
    packed = [key for key, tensor in found.items() if key.endswith("weight") and tensor.dtype[0] in "IU"]
    packed += [key for key, tensor in found.items() if tensor.dtype.startswith("F8")]
    if packed:
        raise UserError(
            f"model: {name!r} is quantised: {packed[0]!r} is stored as {found[packed[0]].dtype}, as are "
            f"{len(packed)} tensors in all; give the model in full or half precision that it was made from"
        )
    return found


def read_json(name: str, file: Path) -> dict[str, Any]:
    """The object in a JSON file of the model `name`; UserError where it holds none."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"model: {file.name} of {name!r} is damaged: {first_line(error)}") from error
    except OSError as error:
        raise UserError(f"model: {file.name} of {name!r} cannot be read: {error.strerror}") from error
    if not isinstance(content, dict):
        raise UserError(f"model: {file.name} of {name!r} holds no JSON object")
    return content


def _check_adapter(name: str, folder: Path) -> None:
    """Raise UserError where there is an adapter: alone it is no model, and beside one it would be left out."""
    if not (folder / "adapter_config.json").is_file():
        return
    settings = read_json(name, folder / "adapter_config.json")
    base = settings.get("base_model_name_or_path") or "a model that it does not name"
    kind = settings.get("peft_type") or "adapter"
    beside = ", beside a model," if (folder / WEIGHTS).is_file() or (folder / INDEX).is_file() else ""
    raise UserError(
        f"model: {name!r} holds an adapter{beside} ({kind}, of {base}), which is not applied here; merge it with peft "
        "(merge_and_unload), save the result and the tokenizer with save_pretrained, and give that folder"
    )


def _config(name: str, folder: Path) -> dict[str, Any]:
    """config.json, which must name a type of model."""
    inside = sorted(path.parent.name for path in folder.glob("*/config.json"))
    hint = f"; the checkpoints lie in its folders: {some(inside)}" if inside else ""
    if (folder / "experiment.yaml").is_file():
        kept = sorted(str(path.parent) for path in folder.glob("runs/*/model/config.json"))
        hint = "; it is an experiment, " + (
            f"whose checkpoints are {some(kept)}" if kept else "which kept no checkpoints (--no-keep-models)"
        )
    if not (folder / "config.json").is_file():
        if not any(folder.iterdir()):
            raise UserError(f"model: the folder {name!r} is empty")
        raise UserError(f"model: the folder {name!r} has no config.json{hint}")
    config = read_json(name, folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise UserError(
            f"model: config.json of {name!r} names no model_type"
            + (hint or '; add it (such as "model_type": "bert"), as transformers does when it saves a model')
        )
    return config


def _index(name: str, folder: Path) -> dict[str, str]:
    """Tensor -> shard, as the index says."""
    places = read_json(name, folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(shard, str) for shard in places.values()):
        raise UserError(f"model: {INDEX} of {name!r} has no weight_map from tensors to shards")
    if outside := sorted(shard for shard in set(places.values()) if Path(shard).name != shard):
        raise UserError(f"model: {INDEX} of {name!r} names {outside[0]!r}, which lies outside the folder")
    return places


def _check_index(name: str, folder: Path, found: dict[str, Stored]) -> None:
    """Raise UserError unless each shard holds the tensors that the index says it does, and no other."""
    places = _index(name, folder)
    for key, shard in places.items():
        if key not in found or found[key].file.name != shard:
            raise UserError(
                f"model: {name!r} is not whole: {INDEX} says that {shard!r} holds {key!r}, which it does not; copy or "
                "download the folder again"
            )
    if left := [key for key in found if key not in places]:
        raise UserError(
            f"model: the shards of {name!r} hold {len(left)} tensors that {INDEX} does not name ({some(left)}); copy "
            "or download the folder again"
        )


def _no_weights(name: str, folder: Path) -> UserError:
    """Why there are no weights that could be read: what is there instead."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    shards = [path.name for path in files if path.suffix == ".safetensors"]
    if shards and "-of-" in shards[0]:
        return UserError(f"model: {name!r} holds the shard {shards[0]!r} but no {INDEX}; copy or download it again")
    if shards:
        return UserError(
            f"model: {name!r} holds no {WEIGHTS}, only {some(shards)}; rename the file that holds the model's weights"
        )
    others = {path.name: OTHER_WEIGHTS[path.suffix] for path in files if path.suffix in OTHER_WEIGHTS}
    others.pop("training_args.bin", None)
    if others:
        file, kind = next(iter(others.items()))
        return UserError(
            f"model: {name!r} holds no .safetensors weights; {kind} are not opened ({file}): {CONVERT}, which writes "
            f"{WEIGHTS}"
        )
    return UserError(f"model: {name!r} holds no .safetensors weights; {CONVERT} into the folder")
