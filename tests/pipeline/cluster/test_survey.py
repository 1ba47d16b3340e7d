"""The parts of a survey, and who does them."""

from pathlib import Path

from pipeline.archives import find_tars, survey_tar
from pipeline.cluster.session import RaySession
from pipeline.cluster.survey import RayTasks
from shards_spec.storage import LocalStore
from tests.support.tars import make_tar


def test_few_parts_are_done_here_while_no_ray_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(make_tar([("a", b"1"), ("b", b"2")]))
    store = LocalStore(tmp_path)
    (stream,) = find_tars(store, ["a.tar"])
    session = RaySession(1, None)
    for _ in range(2):  # the second time, results are there
        tasks = RayTasks(session, store, LocalStore(tmp_path / "out"))
        found = survey_tar(store, stream, [(0, 1000), (1000, stream.size)], tasks=tasks)
        assert found.entries["name"].to_pylist() == ["a", "b"]
    assert len(list((tmp_path / "out").rglob("*.arrow"))) == 2
    assert not session.is_ready
