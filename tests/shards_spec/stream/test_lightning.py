"""The real Lightning: a resumed run goes on with the batches that are left, or with the epoch that comes next."""

from pathlib import Path
from typing import Any

import pytest
import torch

from shards_spec.stream import Dataset

lightning = pytest.importorskip("lightning", reason="lightning is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Lightning has advice for every run


def fit(
    dataset: Dataset,
    folder: Path,
    workers: int,
    checkpoint: Path | None = None,
    *,
    every: dict[str, int],
    limit: float = 1.0,
) -> list[list[str]]:
    """Train for two epochs, as the README says; returns the keys of the batches that training saw."""
    seen: list[list[str]] = []

    class Model(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def train_dataloader(self) -> Any:
            loader = dataset.stream(seed=4).loader(16, workers)
            loader.stream.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)
            return loader

        def training_step(self, batch: dict[str, Any], _: int) -> torch.Tensor:
            seen.append(batch["__key__"])
            return self.layer(batch["label"][:, None].float()).mean()  # type: ignore[no-any-return]

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=1e-6)

    saving = lightning.pytorch.callbacks.ModelCheckpoint(folder, "{step}", save_top_k=-1, **every)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[saving],
        max_epochs=2,
        limit_train_batches=limit,
    )
    trainer.fit(Model(), ckpt_path=None if checkpoint is None else str(checkpoint), weights_only=False)
    return seen


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_resumed_inside_an_epoch_sees_what_is_left(dataset: Dataset, tmp_path: Path, workers: int) -> None:
    every = {"every_n_train_steps": 5}
    whole = fit(dataset, tmp_path / "whole", workers, every=every)
    length = len(whole) // 2
    assert whole[:length] != whole[length:]
    for step in (5, length - length % 5 + 5):  # inside the first epoch, and inside the second
        checkpoint = tmp_path / "whole" / f"step={step}.ckpt"
        assert fit(dataset, tmp_path / f"rest-{step}", workers, checkpoint, every=every) == whole[step:]


@pytest.mark.parametrize("limit", [1.0, 3])
def test_a_run_resumed_at_an_epochs_end_begins_the_next(dataset: Dataset, tmp_path: Path, limit: float) -> None:
    every = {"every_n_epochs": 1}
    whole = fit(dataset, tmp_path / "whole", 0, every=every, limit=limit)
    length = len(whole) // 2
    checkpoint = tmp_path / "whole" / f"step={length}.ckpt"
    assert fit(dataset, tmp_path / "rest", 0, checkpoint, every=every, limit=limit) == whole[length:]
