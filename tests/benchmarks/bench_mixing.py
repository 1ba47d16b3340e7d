"""What the order of an epoch costs in training: an embedding learned by softmax, tried on persons it has not seen.

The samples are vectors instead of images, so that thousands of steps take a minute, but the shards are as City1M's
under ``--shuffle groups``: 740, each with all crops of 15 persons. The same model learns from the same samples in
three orders: the reader's, that of pools of whole shards, which the reader once had, and a permutation of all samples.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from shards_spec.stream.order import POOL_SHARDS, EpochOrder, Int64

CONSOLE = Console(highlight=False, width=120)
SHARDS = 740
PERSONS = 15
"""Persons in a shard."""
CROPS = 24
"""Crops of a person, of which each camera has the same number."""
CAMERAS = 8
BLOCK = 4
"""Samples in a block: as many blocks a shard as a hundred, where a shard of 10,000 crops has a few hundred."""
UNSEEN = 1_000
"""Persons of the test."""
LATENT, PIXELS, WIDTH = 16, 96, 48
BATCH = 64

Order = Callable[[int, int], Int64]
"""Returns the order of an epoch, given seed and epoch."""


class World:
    """Persons, and how cameras see them.

    Args:
        seed: Seed of everything.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._look = self._random.normal(size=(LATENT, PIXELS)) / LATENT**0.5
        self._views = self._random.normal(size=(CAMERAS, PIXELS, PIXELS)) / PIXELS**0.5
        self._light = self._random.normal(size=(CAMERAS, PIXELS))

    def see(self, persons: int) -> tuple[torch.Tensor, Int64, Int64]:
        """Return samples of new persons: ``[n, PIXELS]`` values, ``[n]`` persons and ``[n]`` cameras."""
        number = np.repeat(np.arange(persons), CROPS)
        camera = np.tile(np.arange(CROPS) % CAMERAS, persons)
        looks = self._random.normal(size=(persons, LATENT)) @ self._look
        seen = np.empty((len(number), PIXELS), np.float32)
        for one in range(CAMERAS):
            here = camera == one
            pose = 1.8 * self._random.normal(size=(int(here.sum()), PIXELS))
            seen[here] = np.tanh(looks[number[here]] + 1.2 * looks[number[here]] @ self._views[one] + pose)
            seen[here] += 0.8 * self._light[one]
        return torch.from_numpy(seen), number, camera


def mean_average_precision(embedding: torch.Tensor, persons: Int64, cameras: Int64) -> float:
    """Return the mAP of one query a person against all samples of other cameras."""
    unit = nn.functional.normalize(embedding).numpy()
    queries = np.unique(persons, return_index=True)[1]
    found = []
    for query in queries:
        others = cameras != cameras[query]
        ranked = np.argsort(-(unit[others] @ unit[query]), kind="stable")
        hits = (persons[others] == persons[query])[ranked]
        found.append(np.mean(np.cumsum(hits)[hits] / (np.flatnonzero(hits) + 1)))
    return float(np.mean(found))


def train(seed: int, epochs: int, order: Order) -> float:
    """Train and return the mAP on persons that the training has not seen, in percent."""
    world = World(seed)
    values, persons, _ = world.see(SHARDS * PERSONS)
    # A shard has its persons' samples in any order.
    rows = np.random.default_rng(seed).permuted(np.arange(len(persons)).reshape(SHARDS, -1), axis=1).ravel()
    values, labels = values[rows], torch.from_numpy(persons[rows])
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(PIXELS, 128), nn.ReLU(), nn.Linear(128, WIDTH), nn.BatchNorm1d(WIDTH))
    head = nn.Linear(WIDTH, SHARDS * PERSONS, bias=False)
    optimizer = torch.optim.SGD([*model.parameters(), *head.parameters()], lr=0.2, momentum=0.9)
    steps = epochs * (len(persons) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=steps + 1)
    for epoch in range(epochs):
        for batch in _batches(order(seed, epoch)):
            loss = nn.functional.cross_entropy(head(model(values[batch])), labels[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    model.eval()
    seen, number, camera = world.see(UNSEEN)
    with torch.no_grad():
        return 100 * mean_average_precision(model(seen), number, camera)


def _batches(order: Int64) -> Iterator[torch.Tensor]:
    for begin in range(0, len(order) - BATCH + 1, BATCH):
        yield torch.from_numpy(order[begin : begin + BATCH])


def reader_order(seed: int, epoch: int) -> Int64:
    """The reader's order."""
    order = EpochOrder(np.full(SHARDS, PERSONS * CROPS), BLOCK, seed, epoch)
    return np.concatenate([chunk.units for chunk in order.chunks(0, order.count)])


def whole_shards(seed: int, epoch: int) -> Int64:
    """All samples of some shards, and then all of others, each time in any order."""
    random = np.random.default_rng([seed, epoch])
    pools = np.array_split(random.permutation(SHARDS), -(-SHARDS // POOL_SHARDS))
    samples = np.arange(SHARDS * PERSONS * CROPS).reshape(SHARDS, -1)
    return np.concatenate([random.permutation(samples[pool].ravel()) for pool in pools])


def permutation(seed: int, epoch: int) -> Int64:
    """All samples in any order."""
    return np.random.default_rng([seed, epoch]).permutation(SHARDS * PERSONS * CROPS)


def main(arguments: Sequence[str] = ()) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="bench mixing", description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args(list(arguments))
    table = Table(
        "order", *(f"mAP, seed {seed}" for seed in range(options.seeds)), "mean", title="what mixing is worth"
    )
    orders: dict[str, Order] = {
        "a permutation": permutation,
        "reid-shards": reader_order,
        "pools of whole shards": whole_shards,
    }
    for name, order in orders.items():
        found = [train(seed, options.epochs, order) for seed in range(options.seeds)]
        table.add_row(name, *(f"{value:.2f}" for value in found), f"{np.mean(found):.2f}")
    CONSOLE.print(table)
