"""The names that users of the packages rely on. Who adds, renames or removes one says so here."""

import importlib

import pytest

PUBLIC = {
    "shards_spec": {"Dataset", "open_dataset"},
    "shards_spec.stream": {"Dataset", "SampleError", "open_dataset"},
    "shards_spec.verify": {"Fault", "SequentialFile", "Verdict", "verify"},
    "shards_spec.variants": {"Variant", "register", "variant_named", "variant_of"},
    "pipeline.demo": {"DEMOS", "DemoError", "DemoSummary", "make_demo"},
    "pipeline.plan": {"Plan", "ShardPlan", "make_plan"},
    "pipeline.compare": {"compare_set", "survey_again"},
}
METHODS = {
    "Dataset": {"bags", "manifest", "stream", "urls"},
    "Stream": {
        *("batched", "decode", "epoch", "folder_batches", "groups", "identities", "identity_batches"),
        *(
            "label_level",
            "label_names",
            "listed",
            "load_state_dict",
            "loader",
            "set_epoch",
            "skipped",
            "source",
            "state_dict",
        ),
    },
}


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_are_as_users_know_them(package: str) -> None:
    module = importlib.import_module(package)
    assert set(module.__all__) == PUBLIC[package]
    assert all(getattr(module, name).__doc__ or name.isupper() for name in module.__all__)


@pytest.mark.parametrize(
    ("module", "name"), [("shards_spec.stream.dataset", "Dataset"), ("shards_spec.stream.pipeline", "Stream")]
)
def test_methods_of_the_reader_are_as_users_know_them(module: str, name: str) -> None:
    kind = getattr(importlib.import_module(module), name)
    own = {member for member in vars(kind) if not member.startswith("_")}
    assert own == METHODS[name]
