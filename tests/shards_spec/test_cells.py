"""The name of a cell says which splits its samples are in."""

from shards_spec.cells import cell_name


def test_cells_are_named_after_their_splits_under_each_protocol() -> None:
    assert cell_name({"p1": ["train"]}) == "p1-train"
    assert cell_name({"p1": ["train"], "p2": []}) == "p1-train_p2-none"
    assert cell_name({"p1": ["gallery", "query"], "p2": ["train"]}) == "p1-gallery-query_p2-train"
