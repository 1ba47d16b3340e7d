"""The dataset card: the README.md in OUT, for people who find the set without knowing who made it."""

from shards_spec.manifest import MANIFEST_FILE, REJECTS_FILE, Description, spell_losses


def dataset_card(manifest: Description) -> str:
    """Return the card's text, which depends only on the manifest. Dataset hubs read its front matter."""
    totals = manifest.totals
    splits = "\n".join(
        f"| {protocol} | {split} | {sum(manifest.cells[cell].units for cell in cells):,} "
        f"| {sum(manifest.cells[cell].samples for cell in cells):,} | {', '.join(f'`{cell}`' for cell in cells)} |"
        for protocol, by_split in manifest.protocols.items()
        for split, cells in by_split.items()
    )
    rejects = "\n".join(f"| `{reason}` | {count:,} |" for reason, count in manifest.rejects.items())
    lost = f"\n| reason | lines of `{REJECTS_FILE}` |\n|---|---|\n{rejects}\n" if rejects else ""
    protocol, by_split = next(iter(manifest.protocols.items()), ("p1", {}))
    filled = {split: cells for split, cells in by_split.items() if cells}
    split = "train" if "train" in filled else next(iter(filled), "train")
    cells = filled.get(split, ["<cell>"])
    files = ", ".join(f'"{cell}/*.tar"' for cell in cells)
    return f"""\
---
license: other
license_name: see-below
task_categories:
- image-feature-extraction
tags:
- webdataset
- person-re-identification
- group-re-identification
---

# {manifest.source.dataset}: person crops as WebDataset shards

{totals.samples:,} person crops of {totals.units:,} frames in {totals.shards:,} tar shards, made by
reid-shards {manifest.versions.get("reid-shards", "")} in shard format {manifest.spec}.

**License: other.** The frames are not this set's maker's to license: whoever made it got them from the dataset's
authors, under their terms, and those go on to hold for the crops. Ask them before you pass any of it on.

## What is in it

| protocol | split | frames | samples | cells |
|---|---|---|---|---|
{splits}

A frame is written once, in the cell that names its splits; a split is the union of its cells. A sample is
`<key>.jpg` and `<key>.json`: the crop, and its person, group, camera, time, depth and box. The person lies in the
sidecar's `roi` of the image; around it there may be some pixels more.

Rejected: {spell_losses(totals.accounts)}. `{REJECTS_FILE}` says which and why.
{lost}
## How to load it

With the reader of reid-shards (shuffled, resumable, every sample once an epoch):

```python
from shards_spec import open_dataset

for sample in open_dataset(".").stream(protocol="{protocol}", split="{split}"):
    sample["__key__"], sample["jpg"], sample["json"]  # bytes; decode="rgb", size=(256, 128) decodes the crops
```

With webdataset ({protocol}, {split}):

```python
import glob, webdataset

shards = sorted(file for pattern in [{files}] for file in glob.glob(pattern))
for sample in webdataset.WebDataset(shards, shardshuffle=False):
    sample["__key__"], sample["jpg"], sample["json"]  # bytes; .decode("pil") decodes both
```

With Hugging Face datasets:

```python
import datasets

datasets.load_dataset("webdataset", data_files={{"{split}": [{files}]}}, split="{split}", streaming=True)
```

`{MANIFEST_FILE}` lists every shard with its SHA-256, and each cell's `index.parquet` every sample with its place in the
shard; `reid-shards verify` checks all of it.
"""
