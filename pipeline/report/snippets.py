"""Code to copy from the page: how to see and read with one's own tools what the page shows."""

from pipeline.report.columns import Columns
from shards_spec.manifest import Description, Manifest
from shards_spec.variants import Variant, variant_named


def sql_indexes(url: str) -> str:
    """Return the indexes of a set as DuckDB's name of a table."""
    return "'" + f"{url}/*/index.parquet".replace("'", "''") + "'"


def find_samples(url: str, columns: Columns, rest: str) -> str:
    """Return a DuckDB query over the samples of a set."""
    shown = ["key", *_known(columns.identity, columns.camera, columns.time), "roi_width", "roi_height"]
    return f"select {', '.join(shown)}\nfrom {sql_indexes(url)}\n{rest};"


def _known(*names: str | None) -> list[str]:
    return [name for name in names if name is not None]


def main_split(manifest: Description) -> tuple[str, str] | None:
    """Return the protocol and the split that examples read: a train split, else the largest; None if all are empty."""
    sizes = {
        (protocol, split): sum(manifest.cells[cell].samples for cell in cells)
        for protocol, splits in manifest.protocols.items()
        for split, cells in splits.items()
        if cells
    }
    return next((pair for pair in sizes if pair[1] == "train"), max(sizes, key=lambda pair: sizes[pair], default=None))


def snippets(url: str, manifest: Manifest, columns: Columns) -> list[tuple[str, str]]:
    """Return what each piece of code does, and the code."""
    protocol, split = main_split(manifest) or ("p1", "train")
    where = f'protocol="{protocol}", split="{split}"'
    grouped = _known(columns.camera, columns.time) or ["shard"]
    count = f"select {', '.join(grouped)}, count(*)\nfrom {sql_indexes(url)}\ngroup by all order by all;"
    decode = ', decode="torch", size=(256, 128)' if columns.image is not None else ""
    about, batches = _batches(variant_named(manifest.variant), split)
    first = columns.image or columns.sizes[0].removesuffix("_size")
    train = f"""\
from shards_spec import open_dataset

dataset = open_dataset({url!r})
stream = dataset.stream({where}{decode})
for batch in {batches}:
    {"images" if columns.image is not None else "files"}, labels = batch["{first}"], batch["label"]
    break"""
    read = f"""\
import webdataset
from shards_spec import open_dataset

shards = open_dataset({url!r}).urls({where})
for sample in webdataset.WebDataset(shards, shardshuffle=False):
    sample["__key__"], sample["{first}"], sample["json"]
    break"""
    return [
        (f"Count the samples by {' and '.join(grouped)}, with DuckDB", count),
        (f"Train on {about}, with the reader of reid-shards", train),
        ("Read the same samples with webdataset", read),
    ]


def _batches(variant: Variant, split: str) -> tuple[str, str]:
    """Return what batches to train on, and the code that makes them: by what the labels of the split number."""
    label = variant.label_field(split)
    if split == "train" and label is not None and label == variant.identity_field:
        about = "batches of 16 identities with 4 crops each"
        return about, "stream.identity_batches(identities=16, per_identity=4).loader(num_workers=0)"
    if split == "train" and label == "folder":
        about = "batches of 16 folders with 4 samples each"
        return about, "stream.folder_batches(folders=16, per_folder=4).loader(num_workers=0)"
    return "batches of 64 samples", "stream.loader(batch_size=64, num_workers=0)"
