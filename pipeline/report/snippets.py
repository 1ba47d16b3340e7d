"""Code to copy from the page: how to see and read with one's own tools what the page shows."""

from shards_spec.manifest import Manifest


def sql_indexes(url: str) -> str:
    """Return the indexes of a set as DuckDB's name of a table."""
    return "'" + f"{url}/*/index.parquet".replace("'", "''") + "'"


def find_samples(url: str, rest: str) -> str:
    """Return a DuckDB query over the samples of a set."""
    return f"select key, identity, camera, time, roi_width, roi_height\nfrom {sql_indexes(url)}\n{rest};"


def main_split(manifest: Manifest) -> tuple[str, str]:
    """Return the protocol and the split that examples read: train of the first one, else any that has samples."""
    filled = [
        (protocol, split) for protocol, splits in manifest.protocols.items() for split, cells in splits.items() if cells
    ]
    return next((pair for pair in filled if pair[1] == "train"), next(iter(filled), ("p1", "train")))


def snippets(url: str, manifest: Manifest) -> list[tuple[str, str]]:
    """Return what each piece of code does, and the code."""
    protocol, split = main_split(manifest)
    where = f'protocol="{protocol}", split="{split}"'
    count = f"select camera, time, count(*)\nfrom {sql_indexes(url)}\ngroup by all order by all;"
    train = f"""\
from shards_spec import open_dataset

train = open_dataset({url!r}).stream({where}, decode="torch", size=(256, 128))
for batch in train.identity_batches(identities=16, per_identity=4).loader(num_workers=0):
    images, labels = batch["jpg"], batch["label"]
    break"""
    read = f"""\
import webdataset
from shards_spec import open_dataset

shards = open_dataset({url!r}).urls({where})
for sample in webdataset.WebDataset(shards, shardshuffle=False):
    sample["__key__"], sample["jpg"], sample["json"]
    break"""
    return [
        ("Count the samples by camera and time, with DuckDB", count),
        ("Train on batches of 16 identities with 4 crops each, with the reader of reid-shards", train),
        ("Read the same samples with webdataset", read),
    ]
