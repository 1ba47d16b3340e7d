"""Digests of the sets that small sources beside this module give. ``python -m tests.golden.digests`` pins them.

The sources are files, not made by code, so that nothing but the conversion decides the digests.
"""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.plan.digest import digest_json
from pipeline.sources.registry import SOURCES
from tests.support.sets import convert_source

FOLDER = Path(__file__).parent
PINNED = FOLDER / "digests.json"
_VERSIONS = ("versions", "plan_digest", "files", "sha256")


def digests_of(kind: str) -> dict[str, str]:
    """Return the digest of each file of the set that is made of a source, by path.

    Files that other libraries write in their own way count by what they say: of an index its columns and values, of the
    manifest all that depends on no version.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        source = SOURCES[kind]
        convert_source(source, FOLDER / kind, out, source.make_options({"samples_per_shard": 4}))
        found = {}
        for file in sorted(out.rglob("*")):
            name = file.relative_to(out).as_posix()
            if file.suffix in {".tar", ".jsonl"} or name == "bags.json":
                found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
            elif file.name == "index.parquet" and not name.startswith(".work"):
                table = pq.read_table(file)
                found[name] = digest_json([str(table.schema), table.to_pylist()])
        found["dataset.json"] = digest_json(_lasting(json.loads((out / "dataset.json").read_bytes())))
        return found


def _lasting(manifest: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in manifest.items() if name not in _VERSIONS}
    for cell in kept["cells"].values():
        del cell["index"]["sha256"]
    return kept


if __name__ == "__main__":
    kinds = sorted(path.name for path in FOLDER.iterdir() if path.name in SOURCES)
    PINNED.write_text(json.dumps({kind: digests_of(kind) for kind in kinds}, indent=1) + "\n")
