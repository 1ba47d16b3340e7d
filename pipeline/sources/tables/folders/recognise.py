"""How folders of crops are recognised: by the names of the folders and lists at the top."""

from typing import Final

from pipeline.sources.base import Look
from shards_spec.storage import FileInfo, Store

MARKET_FOLDERS: Final = {"bounding_box_train": "train", "bounding_box_test": "gallery", "query": "query"}
"""The split of each folder of Market-1501."""

MSMT17_LISTS: Final = {
    "list_train.txt": ("train", ("train", "mask_train_v2")),
    "list_val.txt": ("train", ("train", "mask_train_v2")),
    "list_query.txt": ("query", ("test", "mask_test_v2")),
    "list_gallery.txt": ("gallery", ("test", "mask_test_v2")),
}
"""The split of each list of MSMT17, and the names of the folder that its paths are relative to."""


def look_for_crops_folder(store: Store) -> Look:
    """Look for the folders of Market-1501 or the lists of MSMT17 at the top of a folder."""
    found = [folder for folder in store.folders() if folder in MARKET_FOLDERS]
    if "bounding_box_train" in found or "bounding_box_test" in found:
        return Look(is_recognised=True, what=found[0])
    lists = msmt17_lists(store)
    if lists:
        return Look(is_recognised=True, what=lists[0].path)
    return Look(is_recognised=False, what="neither bounding_box_train nor list_train.txt lies at its top")


def msmt17_lists(store: Store) -> list[FileInfo]:
    """Return the lists of MSMT17 that lie at the top of a store."""
    return [file for file in store.list_top() if file.path in MSMT17_LISTS]
