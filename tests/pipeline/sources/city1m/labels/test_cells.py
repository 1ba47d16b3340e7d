from pipeline.sources.city1m.labels.cells import name_cells
from pipeline.sources.city1m.labels.read import LabelFile

FILES = [
    LabelFile(f"{split}_part{part}.txt", f"p{part}", split, 0)
    for part in (1, 2)
    for split in ("gallery", "query", "train")
]


def test_cells_are_named_after_their_splits_under_each_protocol() -> None:
    cells = name_cells(FILES, [0b100100, 0b010100, 0b000011, 0b001000])
    assert cells.names == {
        0b100100: "p1-train_p2-train",
        0b010100: "p1-train_p2-query",
        0b000011: "p1-gallery-query_p2-none",
        0b001000: "p1-none_p2-gallery",
    }
    assert cells.cell_splits == {
        "p1-gallery-query_p2-none": {"p1": ["gallery", "query"], "p2": []},
        "p1-none_p2-gallery": {"p1": [], "p2": ["gallery"]},
        "p1-train_p2-query": {"p1": ["train"], "p2": ["query"]},
        "p1-train_p2-train": {"p1": ["train"], "p2": ["train"]},
    }
    assert list(cells.cell_splits) == sorted(cells.cell_splits)
    assert cells.protocols == {
        "p1": {
            "gallery": ["p1-gallery-query_p2-none"],
            "query": ["p1-gallery-query_p2-none"],
            "train": ["p1-train_p2-query", "p1-train_p2-train"],
        },
        "p2": {
            "gallery": ["p1-none_p2-gallery"],
            "query": ["p1-train_p2-query"],
            "train": ["p1-train_p2-train"],
        },
    }


def test_one_protocol_names_its_cells_alone() -> None:
    cells = name_cells(FILES[:3], [0b100])
    assert cells.names == {0b100: "p1-train"}
    assert cells.protocols == {"p1": {"gallery": [], "query": [], "train": ["p1-train"]}}
