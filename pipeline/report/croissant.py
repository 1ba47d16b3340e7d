"""``croissant.json``: the set as the Croissant format, version 1.1, describes it, for search engines and loaders.

It lists every shard and index with its SHA-256, and has a record set for each cell, whose records are the rows of its
index. Paths are relative to the file, and it holds no date, so that equal sets have equal bytes.
https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
"""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pipeline.report.codes import field_meanings
from shards_spec.index import index_schema
from shards_spec.manifest import Cell, Description
from shards_spec.variants import Variant, variant_of

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(manifest: Description) -> bytes:
    """Return the bytes of ``croissant.json``, which depend only on the manifest."""
    variant, totals, origin = variant_of(manifest), manifest.totals, manifest.source
    schema = index_schema(variant, sorted(manifest.protocols))
    meanings = field_meanings(variant)
    about = f"{totals.samples:,} {variant.title} of {origin.title} in {totals.shards:,} WebDataset shards."
    described: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": origin.title,
        "description": f"{about} A record is a row of an index: what is known of a sample, and where its files lie.",
        "license": _license(manifest, variant),
        **({"citeAs": variant.citation} if variant.citation and not origin.demo else {}),
        "distribution": [file for cell in manifest.cells.values() for file in _files(cell)],
        "recordSet": [_record_set(name, cell, schema, meanings) for name, cell in manifest.cells.items()],
    }
    return json.dumps(described, indent=2, ensure_ascii=False).encode() + b"\n"


def _license(manifest: Description, variant: Variant) -> str:
    if manifest.source.demo:
        return "Drawn by reid-shards demo; see README.md."
    return f"The terms of the dataset that it was made from; see README.md. {variant.license or ''}".rstrip()


def _files(cell: Cell) -> Iterator[dict[str, str]]:
    yield _file(cell.index.file, "application/x-parquet", cell.index.sha256)
    for shard in cell.shards:
        yield _file(shard.file, "application/x-tar", shard.sha256) | {"contentSize": f"{shard.bytes} B"}


def _file(path: str, encoding: str, sha256: str) -> dict[str, str]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "encodingFormat": encoding,
        "sha256": sha256,
    }


def _record_set(name: str, cell: Cell, schema: pa.Schema, meanings: dict[str, str]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The {cell.samples:,} samples of the cell {name}.",
        "key": {"@id": f"{name}/key"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column.name}",
                "name": column.name,
                **({"description": meanings[column.name]} if column.name in meanings else {}),
                **_data_type(column.type),
                "source": {"fileObject": {"@id": cell.index.file}, "extract": {"column": column.name}},
            }
            for column in schema
        ],
    }


def _data_type(type_: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(type_):
        return {**_data_type(type_.value_type), "isArray": True, "arrayShape": "-1"}
    if pa.types.is_string(type_):
        return {"dataType": "sc:Text"}
    if pa.types.is_boolean(type_):
        return {"dataType": "sc:Boolean"}
    return {"dataType": "sc:Integer" if pa.types.is_integer(type_) else "sc:Float"}
