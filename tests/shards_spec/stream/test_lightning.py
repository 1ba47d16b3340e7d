"""The real Lightning: a run that is resumed inside an epoch goes on with the batches that are left."""

from pathlib import Path
from typing import Any

import pytest
import torch

from shards_spec.stream import Dataset

lightning = pytest.importorskip("lightning", reason="lightning is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Lightning has advice for every run


def fit(dataset: Dataset, folder: Path, workers: int, checkpoint: Path | None = None) -> list[list[str]]:
    """Train; returns the keys of the batches that training saw."""
    seen: list[list[str]] = []

    class Model(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: dict[str, Any], _: int) -> torch.Tensor:
            seen.append(batch["__key__"])
            return self.layer(batch["label"][:, None].float()).mean()  # type: ignore[no-any-return]

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=1e-6)

    saving = lightning.pytorch.callbacks.ModelCheckpoint(
        folder, "{step}", every_n_train_steps=5, save_top_k=-1, save_last=False
    )
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[saving],
        max_epochs=2,
    )
    loader = dataset.stream(seed=4).loader(16, workers)
    trainer.fit(Model(), loader, ckpt_path=None if checkpoint is None else str(checkpoint), weights_only=False)
    return seen


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_sees_what_is_left(dataset: Dataset, tmp_path: Path, workers: int) -> None:
    whole = fit(dataset, tmp_path / "whole", workers)
    length = len(whole) // 2
    assert whole[:length] != whole[length:]
    for step in (5, length - length % 5 + 5):  # inside the first epoch, and inside the second
        rest = fit(dataset, tmp_path / f"rest-{step}", workers, tmp_path / "whole" / f"step={step}.ckpt")
        assert rest == whole[step:]
