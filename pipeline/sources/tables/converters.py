"""The working parts of the four kinds of sources. They differ in their surveys alone."""

from collections.abc import Callable

from pipeline.archives import SerialTasks, Tasks
from pipeline.options import Options
from pipeline.sources.catalog import Catalog
from pipeline.sources.tables import BOXES_TABLE, COCO, CROPS_FOLDER, CROPS_TABLE
from pipeline.sources.tables.copying import CropConverter
from pipeline.sources.tables.cutting import FrameConverter
from pipeline.sources.tables.options import TableOptions
from pipeline.sources.tables.survey import survey_boxes_table, survey_coco, survey_crops_folder, survey_crops_table
from shards_spec.storage import Store


class CocoConverter(FrameConverter):
    """Surveys COCO JSON, and cuts its boxes out of the frames."""

    def survey(
        self, source: Store, options: Options, progress: Callable[[str], None], tasks: Tasks | None = None
    ) -> Catalog:
        """Read the JSON files, and list the frames."""
        return survey_coco(COCO, source, _own(options), progress, tasks or SerialTasks(source))


class BoxesTableConverter(FrameConverter):
    """Surveys tables of boxes, and cuts these out of the frames."""

    def survey(
        self, source: Store, options: Options, progress: Callable[[str], None], tasks: Tasks | None = None
    ) -> Catalog:
        """Read the tables, and list the frames."""
        return survey_boxes_table(BOXES_TABLE, source, _own(options), progress, tasks or SerialTasks(source))


class CropsTableConverter(CropConverter):
    """Surveys tables of crops, and takes these over as they are."""

    def survey(
        self, source: Store, options: Options, progress: Callable[[str], None], tasks: Tasks | None = None
    ) -> Catalog:
        """Read the tables, and list the crops."""
        return survey_crops_table(CROPS_TABLE, source, _own(options), progress, tasks or SerialTasks(source))


class CropsFolderConverter(CropConverter):
    """Surveys folders of crops, and takes these over as they are."""

    def survey(
        self, source: Store, options: Options, progress: Callable[[str], None], tasks: Tasks | None = None
    ) -> Catalog:
        """List the crops, and read their names or lists."""
        return survey_crops_folder(CROPS_FOLDER, source, _own(options), progress, tasks or SerialTasks(source))


def _own(options: Options) -> TableOptions:
    assert isinstance(options.own, TableOptions)
    return options.own
