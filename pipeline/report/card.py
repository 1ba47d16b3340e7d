"""The dataset card: the README.md in OUT, for people who find the set without knowing who made it."""

from typing import Any

from pipeline.report.codes import field_meanings, meaning_of
from pipeline.report.features import sample_features
from pipeline.report.front_matter import front_matter
from pipeline.report.snippets import main_split
from shards_spec.layout import CROISSANT_FILE
from shards_spec.manifest import MANIFEST_FILE, REJECTS_FILE, Description, spell_losses
from shards_spec.variants import Variant, variant_of
from shards_spec.variants.base import SIDECAR

_NOTES = "| note | count | meaning |\n|---|---|---|"


def dataset_card(manifest: Description) -> str:
    """Return the card's text, which depends only on the manifest. Dataset hubs and loaders read its front matter."""
    variant, totals = variant_of(manifest), manifest.totals
    splits = "\n".join(
        f"| {protocol} | {split} |{_counts(manifest, variant, cells)} {', '.join(f'`{cell}`' for cell in cells)} |"
        for protocol, by_split in manifest.protocols.items()
        for split, cells in by_split.items()
    )
    units = "" if variant.unit == "sample" else f" {variant.unit}s |"
    rejects = "\n".join(f"| `{reason}` | {count:,} |" for reason, count in manifest.rejects.items())
    lost = f"\n| reason | lines of `{REJECTS_FILE}` |\n|---|---|\n{rejects}\n" if rejects else ""
    notes = "\n".join(f"| `{note}` | {noted.count:,} | {meaning_of(note)} |" for note, noted in manifest.notes.items())
    noted = f"\nNoted, with nothing lost; `{MANIFEST_FILE}` has examples.\n\n{_NOTES}\n{notes}\n" if notes else ""
    return f"""\
{front_matter(_metadata(manifest, variant))}
# {manifest.source.title}: {variant.title} as WebDataset shards

{totals.samples:,} {variant.title} in {totals.shards:,} tar shards, made by reid-shards \
{manifest.versions.get("reid-shards", "")} in shard format {manifest.spec}.

{_terms(manifest, variant)}

## What is in it

| protocol | split |{units} samples | cells |
|---|---|---|---|{"---|" if units else ""}
{splits}

A {variant.written_whole} is written once, in the cell that names its splits; a split is the union of its cells. A
sample is {_files(variant)}. Its sidecar, `<key>.{SIDECAR}`, has these fields:

| field | meaning |
|---|---|
{_fields(variant)}

Rejected: {spell_losses(totals.accounts)}. `{REJECTS_FILE}` says which and why.
{lost}{noted}
## How to load it
{_loading(manifest, variant)}
`{MANIFEST_FILE}` lists every shard with its SHA-256, and each cell's `index.parquet` every sample with its place in the
shard; `reid-shards verify` checks all of it. `{CROISSANT_FILE}` says the same to tools that read Croissant.
"""


def _terms(manifest: Description, variant: Variant) -> str:
    """Return what may be done with the set, and how to cite the dataset."""
    origin = manifest.source
    if origin.demo:
        apart = (
            f", and is no part of {origin.dataset}: do not cite it or pass it on as that" if variant.citation else ""
        )
        return f"**A demo.** `reid-shards demo` made this look-alike. It shows nobody{apart}."
    terms = (
        "**License: other.** The terms of the data that the set was made from go on to hold for it: they are not its "
        "maker's to\nchange. It shows people. Ask those who made the data before you pass any of it on."
    )
    quoted = [f"**Terms.** {variant.license}"] if variant.license else []
    cited = [f"**Citation.** {variant.citation}"] if variant.citation else []
    return "\n\n".join([terms, *quoted, *cited])


def _counts(manifest: Description, variant: Variant, cells: list[str]) -> str:
    """Return the columns of a split that have its counts: the units', unless they are the samples, and the samples'."""
    found = [manifest.cells[cell] for cell in cells]
    units = "" if variant.unit == "sample" else f" {sum(cell.units for cell in found):,} |"
    return f"{units} {sum(cell.samples for cell in found):,} |"


def _metadata(manifest: Description, variant: Variant) -> dict[str, Any]:
    """Return what the front matter says: how hubs list the set, and how Hugging Face datasets loads it."""
    filled = _filled(manifest)
    features = sample_features(variant, sorted(manifest.protocols))
    return {
        "license": "other",
        "license_name": "see-below",
        "task_categories": ["image-feature-extraction"],
        "tags": ["webdataset", "person-re-identification"],
        "configs": [
            {
                "config_name": protocol,
                **({"default": True} if place == 0 else {}),
                "data_files": [
                    {"split": split, "path": [f"{cell}/*.tar" for cell in cells]} for split, cells in splits.items()
                ],
            }
            for place, (protocol, splits) in enumerate(filled.items())
        ],
        "dataset_info": [{"config_name": protocol, "features": features} for protocol in filled],
    }


def _filled(manifest: Description) -> dict[str, dict[str, list[str]]]:
    """Return the splits that have samples, by protocol. Loaders fail at a split without files."""
    filled = {
        protocol: {split: cells for split, cells in splits.items() if cells}
        for protocol, splits in manifest.protocols.items()
    }
    return {protocol: splits for protocol, splits in filled.items() if splits}


def _files(variant: Variant) -> str:
    names = [f"`<key>.{extension}`" for extension in (*variant.files, SIDECAR)]
    more = ", with further files that its sidecar names" if variant.has_more_files else ""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) + more


def _fields(variant: Variant) -> str:
    return "\n".join(f"| `{name}` | {meaning} |" for name, meaning in field_meanings(variant).items())


def _loading(manifest: Description, variant: Variant) -> str:
    shown = main_split(manifest)
    if shown is None:
        return "\nNo split has samples.\n"
    protocol, split = shown
    files = ", ".join(f'"{cell}/*.tar"' for cell in manifest.protocols[protocol][split])
    first = variant.files[0] if variant.files else SIDECAR
    fields = f'sample["__key__"], sample["{first}"], sample["{SIDECAR}"]'
    ours, stock = "", ""
    if variant.image is not None:
        ours, stock = '; decode="rgb", size=(256, 128) decodes the images', '; .decode("pil") decodes both'
    left_out = ", which leaves out the further files" if variant.has_more_files else ""
    return f"""
With the reader of reid-shards (shuffled, resumable, every sample once an epoch):

```python
from shards_spec import open_dataset

for sample in open_dataset(".").stream(protocol="{protocol}", split="{split}"):
    {fields}  # bytes{ours}
```

With webdataset ({protocol}, {split}):

```python
import glob, webdataset

shards = sorted(file for pattern in [{files}] for file in glob.glob(pattern))
for sample in webdataset.WebDataset(shards, shardshuffle=False):
    {fields}  # bytes{stock}
```

With Hugging Face datasets{left_out}, a configuration a protocol:

```python
import datasets

for sample in datasets.load_dataset(".", "{protocol}", split="{split}", streaming=True):
    {fields}
```
"""
