"""The driver's loop over what becomes of shards."""

from pathlib import Path

import msgspec
import pytest

from pipeline.run.driver import follow
from shards_spec import rejects
from shards_spec.errors import UsageError
from shards_spec.rejects import Reject, RejectReason
from tests.support.sets import plan_source
from tests.support.virtual import fake_record


def test_a_run_that_loses_more_than_a_set_can_name_ends(source_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Reject(RejectReason.IMAGE_DAMAGED, "a.zip:b.jpg", "b", None, 1, "")
    shards = plan_source(source_folder).shards[:3]
    events = [msgspec.structs.replace(fake_record(shard), rejects=[lost] * 2) for shard in shards]
    assert follow(events, {}, lambda _: None) == []
    monkeypatch.setattr(rejects, "MOST_REJECTS", 5)
    told: list[object] = []
    with pytest.raises(UsageError, match="6 rejects so far"):
        follow(events, {}, told.append)
    assert len(told) == 2
    with pytest.raises(UsageError, match="6 rejects so far"):
        follow(events[:1], {}, told.append, rejects=4)
