"""Weight files that say what they belong to: the network, its outputs' names, and its preprocessing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from heatlift.errors import HeatliftError, first_line
from heatlift.types import Framing

KEY = "heatlift"
"""Under which a ``.safetensors`` file's metadata holds the description, as JSON."""

LONGEST = 2**20
"""Characters of a description that is read."""

Side = Annotated[int, Field(ge=1, le=4096)]
Channels = tuple[float, float, float]


class Description(BaseModel):
    """What the weights in a file belong to.

    Attributes:
        model: the SPEC of the network.
        classes: names of its outputs, in their order.
        mean, std: its normalisation, one value per channel.
        resize, crop, interpolation: as of a `Framing`, in pixels.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    model: Annotated[str, Field(max_length=1000)]
    classes: Annotated[tuple[Annotated[str, Field(max_length=1000)], ...], Field(min_length=2)]
    mean: Channels
    std: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
    resize: Side | tuple[Side, Side]
    crop: tuple[Side, Side]
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"]

    @property
    def framing(self) -> Framing:
        """How a photograph becomes the network's input."""
        return Framing(self.resize, self.crop, self.interpolation)


def description_in(path: Path) -> Description | None:
    """What a weight file says of itself; None where it says nothing, or is not there or not whole.

    Raises:
        HeatliftError: what it says can't be understood.
    """
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors" or not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
    except (SafetensorError, OSError):
        return None  # which is said, in better words, where the weights themselves are read
    if text is None:
        return None
    try:
        if len(text) > LONGEST:
            raise ValueError(f"{len(text)} characters")
        return Description(**json.loads(text))
    except (ValueError, TypeError, ValidationError, RecursionError) as error:
        raise HeatliftError(
            f"what {path} says of its own network can't be understood ({first_line(error)}): save its "
            "weights again without that metadata, and give --num-classes, --mean, --std and --size"
        ) from error


def described(network: nn.Module, description: Description) -> bytes:
    """A ``.safetensors`` file of a network's weights, with what `heatlift.load` takes from there."""
    from safetensors.torch import save

    # Copies, since two names may stand for one tensor.
    state = {name: w.detach().cpu().contiguous().clone() for name, w in network.state_dict().items()}
    return save(state, metadata={"format": "pt", KEY: description.model_dump_json()})
