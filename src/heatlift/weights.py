"""Weight files, read without ever running what is in them."""

from __future__ import annotations

import errno
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from heatlift.errors import HeatliftError, first_line, shown

DAMAGED = "{} is damaged or no weight file: save the network's state_dict(), best as .safetensors"


def load_weights(network: nn.Module, path: Path) -> None:
    """Put the weights of a file into a network; nothing in the file is ever run.

    Raises:
        HeatliftError: no such file, not a weight file, one that carries code, or weights that do not fit.
    """
    state = read_weights(path)
    own = network.state_dict()
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in state if k not in own]
    misshapen = [
        f"{k} is {tuple(state[k].shape)} in the file and {tuple(own[k].shape)} in the network"
        for k in own
        if k in state and state[k].shape != own[k].shape
    ]
    if missing or unexpected or misshapen:
        reasons = misshapen[:2]
        reasons += [f"{len(missing)} entries are missing, such as {shown(missing[0])}"] if missing else []
        reasons += (
            [f"{len(unexpected)} are unknown to the network, such as {shown(unexpected[0])}"]
            if unexpected
            else []
        )
        hint = " (another --num-classes?)" if misshapen and not missing and not unexpected else ""
        raise HeatliftError(f"the weights in {path} do not fit: {'; '.join(reasons)}{hint}")
    for name, tensor in own.items():
        # Torch would round the one, and drop half of the other.
        if name in state and tensor.is_floating_point() and not state[name].is_floating_point():
            raise HeatliftError(
                f"the weights in {path} do not fit: {shown(name)} is {state[name].dtype} in the file and "
                f"{tensor.dtype} in the network"
            )
    try:
        network.load_state_dict(state, strict=False)
    except (RuntimeError, NotImplementedError) as error:  # sparse or quantised ones
        raise HeatliftError(f"the weights in {path} do not fit: {first_line(error)}") from error


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a ``.safetensors``, ``.pt`` or ``.pth`` file; pickled calls are refused, not run.

    Raises:
        HeatliftError: no such file, a damaged one, or one that holds anything but tensors by name.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise HeatliftError(
            f"no weight file {path}: give default, random, or a .safetensors, .pt or .pth file"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix not in (".pt", ".pth"):
            raise HeatliftError(f"{path} is no weight file: give a .safetensors, .pt or .pth file")
        _check_packing(path)
        with warnings.catch_warnings():
            # What torch has to say of strange files, we say ourselves where it matters.
            warnings.simplefilter("ignore")
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except HeatliftError:
        raise
    except pickle.UnpicklingError as error:
        raise HeatliftError(
            f"{path} holds more than weights, or is damaged, and was not loaded: "
            "save the network's state_dict(), best as .safetensors"
        ) from error
    except OSError as error:
        if error.strerror is None or error.errno == errno.EINVAL:  # that is a seek the bytes asked for
            raise HeatliftError(DAMAGED.format(path)) from error
        raise HeatliftError(f"can't read the weights in {path}: {error.strerror}") from error
    except Exception as error:  # torch raises whatever the bytes lead it to, AssertionError included
        raise HeatliftError(DAMAGED.format(path)) from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(v, Tensor) for v in content.values())
    ):
        raise HeatliftError(
            f"{path} holds no state_dict: save the network's state_dict(), best as .safetensors"
        )
    # nn.DataParallel writes this in front of every name.
    state = {str(k).removeprefix("module."): v for k, v in content.items()}
    if len(state) < len(content):
        raise HeatliftError(f"{path} holds the same weights twice, with and without 'module.': keep one set")
    return state


def _check_packing(path: Path) -> None:
    """Refuse an archive whose entries are larger than itself; torch packs none."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > path.stat().st_size:
        raise HeatliftError(f"{path} unpacks to {unpacked} bytes, which no weight file does: not loaded")


def weights_digest(network: nn.Module) -> str:
    """A hash of all parameters and buffers, by which a run knows its network again."""
    digest = blake2b(digest_size=16)
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
