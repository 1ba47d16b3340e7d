"""Label files, tables and folders of crops: any frames with boxes, and any crops, whoever made them."""

from pipeline.sources.base import Source
from pipeline.sources.tables.coco.recognise import look_for_coco
from pipeline.sources.tables.folders.recognise import look_for_crops_folder
from pipeline.sources.tables.options import TableOptions
from pipeline.sources.tables.rows.recognise import look_for_boxes_table, look_for_crops_table

COCO = Source(
    name="coco",
    title="COCO JSON",
    variant="boxes",
    options=TableOptions,
    cuts=True,
    samples_per_shard=10_000,
    recognises=look_for_coco,
    converter="pipeline.sources.tables.converters:CocoConverter",
)
BOXES_TABLE = Source(
    name="boxes-table",
    title="table of boxes",
    variant="boxes",
    options=TableOptions,
    cuts=True,
    samples_per_shard=10_000,
    recognises=look_for_boxes_table,
    converter="pipeline.sources.tables.converters:BoxesTableConverter",
)
CROPS_TABLE = Source(
    name="crops-table",
    title="table of crops",
    variant="images",
    options=TableOptions,
    samples_per_shard=10_000,
    recognises=look_for_crops_table,
    converter="pipeline.sources.tables.converters:CropsTableConverter",
)
CROPS_FOLDER = Source(
    name="crops-folder",
    title="folder of crops",
    variant="images",
    options=TableOptions,
    samples_per_shard=10_000,
    recognises=look_for_crops_folder,
    converter="pipeline.sources.tables.converters:CropsFolderConverter",
)

TABLES = (COCO, BOXES_TABLE, CROPS_TABLE, CROPS_FOLDER)
"""The kinds of sources of this folder."""
