"""A stretch of training: the iterations between two looks at the held-back images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift.classifier import Classifier
from heatlift.data import Item
from heatlift.errors import HeatliftError, first_line, let_through, out_of_memory
from heatlift.finetune.recipe import Recipe
from heatlift.images import batches
from heatlift.outputs import logits_in
from heatlift.precision import resolved
from heatlift.streams import image_seed


def drawn(train: Sequence[Item], recipe: Recipe, iteration: int, iterations: int) -> list[Item]:
    """The images of some iterations, drawn uniformly with replacement (Tjoa 2022, section 3).

    The draw depends on the seed and on where the stretch begins, so that a training that was stopped goes
    on with the same images.
    """
    generator = torch.Generator().manual_seed(image_seed(recipe.seed, str(iteration), "train"))
    places = torch.randint(len(train), (iterations * recipe.batch_size,), generator=generator)
    return [train[place] for place in places.tolist()]


def train_stretch(
    classifier: Classifier,
    optimiser: torch.optim.Optimizer,
    train: Sequence[Item],
    recipe: Recipe,
    iteration: int,
    iterations: int,
) -> Iterator[float]:
    """Do some iterations; yields each one's loss, the cross-entropy of its batch.

    Images that can't be read are left out of a batch, in whose place the next one drawn stands.

    Raises:
        HeatliftError: the network can't be trained, the loss is no number, or no image can be read.
    """
    network, device = classifier.network, classifier.device
    in_half = resolved(recipe.precision, network, device) == "bf16"
    half = torch.autocast(device.type, torch.bfloat16) if in_half else nullcontext()
    items = drawn(train, recipe, iteration, iterations)
    read = 0
    with _training(classifier, image_seed(recipe.seed, str(iteration), "dropout")):
        for batch in batches(items, classifier.framing, recipe.batch_size):
            if not len(batch):
                continue
            read += len(batch)
            labels = torch.tensor([item.label for item in batch.items], device=device)
            optimiser.zero_grad(set_to_none=True)
            inputs = classifier.normalise(batch.images).contiguous(memory_format=torch.channels_last)
            try:
                with half:
                    answer = network(inputs)
                logits = logits_in(answer, len(batch), classifier.name, False, classifier.num_classes)
                loss = F.cross_entropy(logits.float(), labels)
                loss.backward()
            except HeatliftError:
                raise
            except Exception as error:
                raise _said(error, classifier) from error
            if not math.isfinite(value := loss.item()):
                raise HeatliftError(
                    f"the loss became {value} at iteration {iteration + 1}: give a smaller --lr"
                )
            optimiser.step()
            iteration += 1
            yield value
    if not read:
        raise HeatliftError(f"none of {len(items)} images that were drawn can be read: look at a few of them")


@contextmanager
def _training(classifier: Classifier, seed: int) -> Iterator[None]:
    """Train mode inside, with random numbers of the seed's own."""
    devices = [classifier.device] if classifier.device.type == "cuda" else []
    classifier.network.train()
    try:
        with torch.random.fork_rng(devices=devices), torch.enable_grad():
            torch.manual_seed(seed)
            yield
    finally:
        classifier.network.eval()


def _said(error: Exception, classifier: Classifier) -> HeatliftError:
    """What to say of an error that a network raised in training."""
    if out_of_memory(error):
        return HeatliftError(
            f"the memory ran out while training: give a smaller --batch-size ({first_line(error)})"
        )
    let_through(error)
    return HeatliftError(f"{classifier.name} can't be trained so: {first_line(error)}")


def snapshot(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A copy of a network's weights, which later steps leave alone."""
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
