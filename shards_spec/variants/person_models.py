"""The variant ``person-models``: models of persons as FBX files with their textures, as delivered."""

import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from shards_spec.errors import SpecError
from shards_spec.jsons import Count, Ordinal
from shards_spec.keys import path_keys
from shards_spec.manifest import Manifest, Sha256
from shards_spec.options import CommonOptions
from shards_spec.variants.base import MORE_FILES_MAX, Variant
from shards_spec.variants.city1m.terms import CITATION, LICENSE
from shards_spec.variants.fields import Splits

DATASET = "City1M-PersonModels"
"""The dataset's name in the manifest's ``source``."""

USED_IDS = range(1, 45_001)
"""Ids of the models that the scenes of City1M were made with, as its authors say."""
STANDBY_IDS = range(45_001, 46_001)
"""Ids of the models that its authors hold in reserve."""
TEXTURES_MAX = MORE_FILES_MAX
"""Most textures of a model."""

IdNumber = Literal["auto", "first", "last"]

_EXTENSION = re.compile(r"[a-z0-9]{1,5}")
_OTHER_EXTENSION = "bin"


class ModelFile(msgspec.Struct, frozen=True):
    """A file of a model."""

    name: Annotated[str, Meta(min_length=1)]
    """Path below the source's folder, as spelled. A file of an archive is named as if that had been unpacked into a
    folder of its name."""
    bytes: Count
    """Size in bytes."""
    sha256: Sha256
    """SHA-256 of the bytes, in hex."""


class Sidecar(msgspec.Struct, frozen=True):
    """What is known of a model. All fields are always present, in this order."""

    spec: str
    """Version of the shard format: "1.0"."""
    model: Annotated[str, Meta(min_length=1)]
    """Path of the FBX file below the source's folder, as spelled."""
    model_id: Ordinal
    """Id of the model: a number in its file's name."""
    identity: str
    """Names the person: the id as a string. It is not documented which persons of City1M's frames they are."""
    used: bool
    """Whether the id is one of those that City1M's scenes were made with (1 to 45,000), not one in reserve (45,001 to
    46,000)."""
    textures: Annotated[int, Meta(ge=0, le=TEXTURES_MAX)]
    """Number of textures."""
    files: list[ModelFile]
    """The files in the order of the sample: the FBX file, then the textures."""
    splits: Splits
    """Protocol to the split that the model is in: `used` or `standby`."""


class IdNumberEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided from which number in the files' names gives more ids that the dataset is documented to have."""

    question: ClassVar[str] = "Which number in the name of a model's file is its id?"
    meanings: ClassVar[Mapping[str, str]] = {
        "first": "The first number in the name.",
        "last": "The last number in the name.",
    }

    models: Count
    """Models, by FBX files."""
    first_known: Count
    """How many different ids from 1 to 46,000 the first numbers give."""
    last_known: Count
    """How many different ids from 1 to 46,000 the last numbers give."""

    def choice(self) -> Literal["first", "last"]:
        """Return ``first`` if the first numbers give more known ids than the last ones."""
        return "first" if self.first_known > self.last_known else "last"

    def sentence(self) -> str:
        """Return the counts as sentences for people."""
        return (
            f"Among {self.models:,} models, the first numbers give {self.first_known:,} different ids from 1 to "
            f"46,000, and the last numbers {self.last_known:,}."
        )


class PersonModelsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of City1M-PersonModels."""

    id_number: IdNumber
    """Which number in the name of a model's file is its id; ``auto`` leaves it to the decision of this name."""
    allow_missing_textures: bool
    """Whether a model is taken although textures that it names are missing."""


def model_id_of(path: str, number: str) -> int | None:
    """Return the id in the name of a model's file; None if it has no number, or one that is no known id.

    Args:
        path: Path of the file.
        number: Which of several numbers is the id: "first" or "last".
    """
    found = re.findall("[0-9]+", posixpath.splitext(posixpath.basename(path))[0])
    if not found:
        return None
    model_id = int(found[0 if number == "first" else -1].lstrip("0")[:9] or "0")
    return model_id if model_id in USED_IDS or model_id in STANDBY_IDS else None


def split_of(model_id: int) -> str:
    """Return the split that a known id is in."""
    return "used" if model_id in USED_IDS else "standby"


def texture_extensions(names: Sequence[str]) -> list[str]:
    """Return the extensions that textures have in a shard: their number, and the extension of their name in lower case.

    A name without an extension of one to five characters of ``a-z0-9`` gives ``bin``.
    """
    own = [posixpath.splitext(name)[1][1:].lower() for name in names]
    return [f"{number}.{one if _EXTENSION.fullmatch(one) else _OTHER_EXTENSION}" for number, one in enumerate(own)]


def _keys(sidecar: Sidecar) -> tuple[str, ...]:
    return path_keys(sidecar.model)


def _textures(sidecar: Sidecar) -> list[str]:
    return texture_extensions([file.name for file in sidecar.files[1:]])


def _rules(manifest: Manifest) -> str:
    """Return which number in the name of a file is the model's id."""
    return manifest.decisions["id_number"].choice


def _check_sample(sidecar: Sidecar, files: Mapping[str, bytes], rules: str) -> None:
    model_id = model_id_of(sidecar.model, rules)
    if model_id != sidecar.model_id:
        raise SpecError(f"model_id is {sidecar.model_id}, but the {rules} number in the name of its file is {model_id}")
    split = split_of(sidecar.model_id)
    named = [file.name for file in sidecar.files]
    for name, value, expected in (
        ("identity", sidecar.identity, str(sidecar.model_id)),
        ("used", sidecar.used, split == "used"),
        ("splits", sidecar.splits, {"p1": [split]}),
        ("textures", sidecar.textures, len(named) - 1),
        ("files", named[:1], [sidecar.model]),
    ):
        if value != expected:
            raise SpecError(f"{name} is {value!r}, but by its other fields it is {expected!r}")
    if len(named) != len(set(named)):
        raise SpecError("files: it names one twice")
    for file, data in zip(sidecar.files, files.values(), strict=False):  # the sidecar is the last file
        found = ModelFile(file.name, len(data), hashlib.sha256(data).hexdigest())
        if file != found:
            raise SpecError(f"{file.name}: is {found.bytes} bytes of SHA-256 {found.sha256}, but its sidecar differs")


def _manifest_faults(manifest: Manifest) -> Iterator[str]:
    if manifest.source.dataset != DATASET:
        yield f"source: dataset is {manifest.source.dataset!r}, but the variant {manifest.variant} is of {DATASET!r}"
    if {name: sorted(splits) for name, splits in manifest.protocols.items()} != {"p1": ["standby", "used"]}:
        yield "protocols: this variant has p1 alone, with the splits standby and used"


PERSON_MODELS = Variant(
    name="person-models",
    title="person models",
    sidecar=Sidecar,
    keys=_keys,
    files=("fbx",),
    more_files=_textures,
    identity_field="identity",
    citation=CITATION,
    license=LICENSE,
    accounts=("models",),
    samples_account="models",
    options=(CommonOptions, PersonModelsOptions),
    decisions={"id_number": IdNumberEvidence},
    rules=_rules,
    check_sample=_check_sample,
    manifest_faults=_manifest_faults,
)
