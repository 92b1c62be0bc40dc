"""A stretch of training: the iterations between two looks at the held-back images."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from itertools import islice

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
from heatlift.types import Framing

MOST_DRAWN = 10
"""For each image of a batch: where fewer than one in so many can be read, something is wrong with them."""


def drawn(train: Sequence[Item], recipe: Recipe, iteration: int, iterations: int) -> Iterator[Item]:
    """Images for some iterations, drawn uniformly with replacement (Tjoa 2022, section 3).

    There are more than they take, for those that can't be read. The draw depends on the seed and on where
    the stretch begins, so that a training that was stopped goes on with the same images.
    """
    generator = torch.Generator().manual_seed(image_seed(recipe.seed, str(iteration), "train"))
    for _ in range(MOST_DRAWN):
        places = torch.randint(len(train), (iterations * recipe.batch_size,), generator=generator)
        yield from (train[place] for place in places.tolist())


def train_stretch(
    classifier: Classifier,
    optimiser: torch.optim.Optimizer,
    train: Sequence[Item],
    recipe: Recipe,
    iteration: int,
    iterations: int,
    unreadable: set[str],
) -> Iterator[float]:
    """Do some iterations; yields each one's loss, the cross-entropy of its batch.

    In place of an image that can't be read stands the next one drawn; its name goes into ``unreadable``.

    Raises:
        HeatliftError: the network can't be trained, the loss is no number, or hardly any image can be read.
    """
    network, device = classifier.network, classifier.device
    in_half = resolved(recipe.precision, network, device) == "bf16"
    half = torch.autocast(device.type, torch.bfloat16) if in_half else nullcontext()
    batches_read = _full(train, classifier.framing, recipe, iteration, iterations, unreadable)
    with closing(batches_read), _training(classifier, image_seed(recipe.seed, str(iteration), "dropout")):
        for images, outputs in batches_read:
            labels = torch.tensor(outputs, device=device)
            optimiser.zero_grad(set_to_none=True)
            inputs = classifier.normalise(images).contiguous(memory_format=torch.channels_last)
            try:
                with half:
                    answer = network(inputs)
                logits = logits_in(answer, len(images), classifier.name, False, classifier.num_classes)
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


def _full(
    train: Sequence[Item],
    framing: Framing,
    recipe: Recipe,
    iteration: int,
    iterations: int,
    unreadable: set[str],
) -> Generator[tuple[Tensor, list[int]], None, None]:
    """The images (n, 3, h, w) and the labels of each iteration, n always the batch's size."""
    items, size = drawn(train, recipe, iteration, iterations), recipe.batch_size
    images, labels = torch.empty(0, 3, *framing.crop), list[int]()
    missing = iterations * size
    while missing:
        # No more than are needed, since what is decoded ahead of a stretch's end is lost.
        taken = list(islice(items, missing))
        if len(taken) < missing:
            raise HeatliftError(
                f"{len(unreadable)} of {len(train)} images to learn from can't be read: look at a few of them"
            )
        with closing(batches(taken, framing, size)) as read:
            for batch in read:
                unreadable.update(item.name for item, _ in batch.failed)
                missing -= len(batch)
                images = torch.cat([images, batch.images]) if len(images) else batch.images
                labels += [item.label for item in batch.items if item.label is not None]
                if len(images) >= size:
                    yield images[:size], labels[:size]
                    images, labels = images[size:], labels[size:]


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
