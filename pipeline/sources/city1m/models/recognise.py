"""How a folder of City1M-PersonModels is recognised: by an FBX file, or by names for models and textures."""

import re
from collections.abc import Iterator

from pipeline.sources.base import Look
from pipeline.sources.misplaced import find_below
from shards_spec.storage import Store

_MODEL = re.compile(r"(?i).*\.fbx")
_NAME = re.compile(r"(?i)(?:.*[_ -])?(?:fbx|person[_ -]?models?|textures?)(?:[_ -].*|[0-9]*)")
"""Names of folders and archives, without ``.zip``. The dataset's own are not public."""


def look_for_models(store: Store) -> Look:
    """Look for a folder or an archive that is named after models or textures, or for an FBX file."""
    found = next((name for name in _tops(store) if _NAME.fullmatch(name.removesuffix("/").removesuffix(".zip"))), None)
    if found is None:
        found = find_below(store, _MODEL)
    if found is not None:
        return Look(is_recognised=True, what=found)
    return Look(
        is_recognised=False,
        what="no FBX file is there, nor a folder or zip at its top whose name says Texture or PersonModels",
    )


def _tops(store: Store) -> Iterator[str]:
    """Yield the names of the folders and zips at the top."""
    yield from store.folders()
    yield from (file.path for file in store.list_top() if file.path.lower().endswith(".zip"))
