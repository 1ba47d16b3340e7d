"""The README's training example: a small model, identity and triplet loss, interrupted and resumed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.demo import make_demo
from pipeline.options import Options
from shards_spec import open_dataset
from tests.support.sets import make_set


@pytest.fixture(scope="module")
def demo_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    make_demo(folder / "demo", frames=40, workers=1)
    make_set(folder / "demo", folder / "set", Options(samples_per_shard=60))
    return folder / "set"


# The README shows what stands from here
class Embedder(nn.Module):
    """A few convolutions; train what you like."""

    def __init__(self, identities: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=4), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU()
        )
        self.classify = nn.Linear(32, identities)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        embeddings = self.features(images).mean(dim=(2, 3))
        return embeddings, self.classify(embeddings)


def triplet_loss(embeddings: torch.Tensor, labels: torch.Tensor, margin: float = 0.3) -> torch.Tensor:
    """For each crop, the farthest of its identity against the nearest of another."""
    distances = torch.cdist(embeddings, embeddings)
    same = labels[:, None] == labels
    farthest = (distances * same).amax(dim=1)
    nearest = distances.masked_fill(same, torch.inf).amin(dim=1)
    return (farthest - nearest + margin).clamp(min=0).mean()


def train(location: str, steps: int, checkpoint: dict[str, Any] | None = None) -> tuple[list[float], dict[str, Any]]:
    """Train for some steps, from the beginning or from a checkpoint; returns the losses and a checkpoint."""
    stream = open_dataset(location).stream(protocol=1, split="train", seed=0, decode="torch", size=(64, 32))
    loader = stream.identity_batches(identities=8, per_identity=4).loader(num_workers=2)
    torch.manual_seed(0)
    model = Embedder(len(stream.identities))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    if checkpoint is not None:
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        loader.load_state_dict(checkpoint["loader"])
    losses: list[float] = []
    while len(losses) < steps:
        for batch in loader:  # an epoch, or the rest of the one that was interrupted
            embeddings, scores = model(batch["jpg"])
            loss = nn.functional.cross_entropy(scores, batch["label"]) + triplet_loss(embeddings, batch["label"])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss.detach()))
            if len(losses) == steps:
                break
    states: dict[str, Any] = {"model": model, "optimizer": optimizer, "loader": loader}
    return losses, {name: one.state_dict() for name, one in states.items()}


# to here.


def test_the_loss_goes_down_and_a_resumed_run_is_the_same_run(demo_set: Path) -> None:
    torch.use_deterministic_algorithms(mode=True)
    try:
        whole, _ = train(str(demo_set), steps=16)
        first, checkpoint = train(str(demo_set), steps=4)
        second, checkpoint = train(str(demo_set), steps=3, checkpoint=checkpoint)
        third, _ = train(str(demo_set), steps=2, checkpoint=checkpoint)
    finally:
        torch.use_deterministic_algorithms(mode=False)
    assert sum(whole[-4:]) < sum(whole[:4])
    assert first + second + third == pytest.approx(whole[:9], rel=1e-4)
