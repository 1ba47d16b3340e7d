"""City1M-PersonModels: 46,000 models of persons as FBX files, with their textures (https://github.com/LinlyAC/City1M-dataset)."""

from pipeline.sources.base import Source
from pipeline.sources.city1m.models.options import PersonModelsOptions
from pipeline.sources.city1m.models.recognise import look_for_models

PERSON_MODELS = Source(
    name="person-models",
    title="City1M-PersonModels",
    variant="person-models",
    options=PersonModelsOptions,
    cuts=False,
    samples_per_shard=50,
    recognises=look_for_models,
    converter="pipeline.sources.city1m.models.converter:PersonModelsConverter",
)
