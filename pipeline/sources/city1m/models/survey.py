"""The survey of City1M-PersonModels: models are read for the names of their textures, which are then looked for."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.archives import Tasks
from pipeline.samples import Notes
from pipeline.sources.base import Source
from pipeline.sources.catalog import Catalog
from pipeline.sources.city1m.models.entries import Entry, Files, is_model, list_files
from pipeline.sources.city1m.models.fbx import is_image
from pipeline.sources.city1m.models.names import Named, read_names
from pipeline.sources.city1m.models.options import PersonModelsOptions
from pipeline.sources.city1m.models.rows import CELLS, Model, build_rows
from pipeline.sources.city1m.models.textures import TextureFinder, Textures
from shards_spec.errors import UsageError
from shards_spec.keys import path_keys
from shards_spec.manifest import GIVEN, Account, Decision
from shards_spec.rejects import Note, Reject, RejectReason
from shards_spec.storage import Store
from shards_spec.variants.person_models import (
    DATASET,
    STANDBY_IDS,
    TEXTURES_MAX,
    IdNumberEvidence,
    model_id_of,
    split_of,
)

MODEL_BYTES = 512 << 20
"""Most bytes of a model with its textures, which are in a worker's memory together."""
_NAMES_SHOWN = 5


@dataclass(slots=True)
class _Found:
    """The models so far, and what was lost."""

    models: list[Model] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)

    def reject(self, reason: RejectReason, model: Entry, detail: str) -> None:
        self.rejects.append(Reject(reason, model.where, model.path, None, 1, detail))


def survey_models(
    source: Source, store: Store, options: PersonModelsOptions, progress: Callable[[str], None], tasks: Tasks
) -> Catalog:
    """Find out what a folder of City1M-PersonModels holds.

    Args:
        source: The kind of source, for the catalog.
        store: The store with the models and textures.
        options: The source's own options.
        progress: A function that is called with a sentence about the progress now and then.
        tasks: What reads the models.

    Raises:
        UsageError: A zip cannot be read, or there is no model that could be converted.
        OSError: The store reports a fault.
    """
    files = list_files(store, progress)
    models = [entry for entry in files.entries if is_model(entry.path)]
    gaps = _gaps(files)
    if not models:
        raise UsageError("; ".join([f"{store.url}: no FBX file is there, neither in folders nor in zips", *gaps[:1]]))
    decision = _decide(models, options)
    found = _Found()
    chosen = _with_ids(models, decision.choice, found)
    named = read_names(store, [model for _, model in chosen], tasks, progress)
    progress("looking for textures")
    used = _add_models(TextureFinder(files.entries), chosen, named, options, found)
    if not found.models:
        first = found.rejects[0]
        raise UsageError(f"{store.url}: nothing to convert: of {first.name}, for example: {first.detail}")
    others = [entry for entry in files.entries if not is_model(entry.path)]
    images = {entry for entry in others if is_image(entry.path)}
    unused = [entry.where for entry in others if entry in images and entry not in used]
    ignored = [entry.where for entry in others if entry not in images and entry not in used]
    found.notes.add_all(Note.TEXTURE_UNUSED, len(unused), unused)
    found.notes.add_all(Note.ENTRY_IGNORED, len(ignored), ignored)
    found.notes.add_all(Note.ENTRY_IGNORED, len(files.folders), files.folders)
    lost = len(found.rejects)
    return Catalog(
        source=source,
        rows=build_rows(found.models),
        protocols={"p1": {split: [cell] if _has(found, split) else [] for split, cell in CELLS.items()}},
        cell_splits={cell: {"p1": [split]} for split, cell in CELLS.items() if _has(found, split)},
        dataset=DATASET,
        archives=files.sources,
        decisions={"id_number": decision},
        accounts={"models": Account(len(models), len(models) - lost, lost)},
        rejects=found.rejects,
        notes=found.notes.total(),
        gaps=gaps,
    )


def _has(found: _Found, split: str) -> bool:
    return any(split_of(model.model_id) == split for model in found.models)


def _gaps(files: Files) -> list[str]:
    """Return a sentence for each place that may hold models or textures, but is not read."""
    zips = [f"{path} is a zip in a zip, which is not read: unpack the outer one" for path in files.inner_zips]
    links = [
        f"{path} is a link to a folder, which is not followed: put the folder itself there"
        for path in files.linked_folders
    ]
    return zips + links


def _decide(models: Sequence[Entry], options: PersonModelsOptions) -> Decision:
    """Decide which number in a name is the id."""
    if options.id_number != "auto":
        return Decision(options.id_number, GIVEN)
    counts = [len({model_id_of(model.path, number) for model in models} - {None}) for number in ("first", "last")]
    evidence = IdNumberEvidence(len(models), *counts)
    return Decision(
        evidence.choice(),
        {"models": evidence.models, "first_known": evidence.first_known, "last_known": evidence.last_known},
    )


def _with_ids(models: Sequence[Entry], number: str, found: _Found) -> list[tuple[int, Entry]]:
    """Return the models that have an id of their own and could be read, with their ids."""
    chosen: dict[int, Entry] = {}
    for model in models:
        model_id = model_id_of(model.path, number)
        if model_id is None:
            detail = f"its name has no number from 1 to {STANDBY_IDS[-1]:,} where the id is (--id-number {number})"
            found.reject(RejectReason.MODEL_ID_UNKNOWN, model, detail)
        elif model_id in chosen:
            found.reject(RejectReason.MODEL_REPEATED, model, f"{chosen[model_id].where} has the id {model_id} as well")
        elif model.fault:
            found.reject(RejectReason.IMAGE_UNSUPPORTED, model, model.fault)
        else:
            chosen[model_id] = model
    return list(chosen.items())


def _add_models(
    finder: TextureFinder,
    chosen: Sequence[tuple[int, Entry]],
    named: Sequence[Named],
    options: PersonModelsOptions,
    found: _Found,
) -> set[Entry]:
    """Add the models whose textures are there; return all textures that some model names."""
    used: set[Entry] = set()
    spelled = Counter(path_keys(model.path)[0] for _, model in chosen)
    for (model_id, model), said in zip(chosen, named, strict=True):
        if said.reason is not None:
            found.reject(said.reason, model, said.detail)
            continue
        textures = finder.find(model, said.textures)
        used.update(textures.meant)
        fault = _fault(model, textures, allows_missing=options.allow_missing_textures)
        if fault is not None:
            found.reject(fault[0], model, fault[1])
            continue
        left_out = [f"{model.where}: {name}" for name in textures.missing]
        found.notes.add_all(Note.TEXTURE_LEFT_OUT, len(left_out), left_out)
        if not textures.found and not said.textures:
            found.notes.add(Note.MODEL_WITHOUT_TEXTURE, model.where)
        has_own_key = spelled[path_keys(model.path)[0]] == 1
        surveyed = model._replace(crc32=said.crc32)
        found.models.append(Model(model_id, has_own_key, [surveyed, *textures.found]))
    return used


def _fault(model: Entry, textures: Textures, *, allows_missing: bool) -> tuple[RejectReason, str] | None:
    """Return why a model cannot be taken."""
    if textures.missing and not allows_missing:
        missing = _listed(textures.missing)
        return RejectReason.TEXTURE_MISSING, f"the source lacks {missing}; --allow-missing-textures takes such models"
    if textures.ambiguous:
        return (
            RejectReason.TEXTURE_AMBIGUOUS,
            f"several files could be {_listed(textures.ambiguous)}",
        )
    unread = next((texture for texture in textures.found if texture.fault), None)
    if unread is not None:
        return RejectReason.IMAGE_UNSUPPORTED, f"{unread.where}: {unread.fault}"
    if len(textures.found) > TEXTURES_MAX:
        return (
            RejectReason.MODEL_TOO_LARGE,
            f"it has {len(textures.found)} textures: at most {TEXTURES_MAX} are taken",
        )
    size = model.size + sum(texture.size for texture in textures.found)
    if size > MODEL_BYTES:
        return RejectReason.MODEL_TOO_LARGE, f"it takes {size} bytes with its textures: at most {MODEL_BYTES} are taken"
    return None


def _listed(names: Sequence[str]) -> str:
    """Return names for a sentence, the first ones if there are many."""
    shown = ", ".join(name[:200] for name in names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN:,} more"
