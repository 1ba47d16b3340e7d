"""A survey whose accounts do not add up is a fault of this program, and is found before anything is planned."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.sources.catalog import Catalog
from pipeline.sources.city1m import CITY1M
from shards_spec.manifest import Account
from shards_spec.rejects import Reject, RejectReason
from shards_spec.storage import LocalStore
from tests.support.options import city1m_options


@pytest.fixture
def catalog(source_folder: Path) -> Catalog:
    return CITY1M.survey(LocalStore(source_folder), city1m_options())


def test_accounts_that_add_up_pass(catalog: Catalog) -> None:
    catalog.check()


@pytest.mark.parametrize(
    ("name", "change"), [("lines", (1, 0, 0)), ("frames", (0, -1, 1)), ("members", (0, -1, 1)), ("members", (1, 1, 0))]
)
def test_a_wrong_account_is_named(catalog: Catalog, name: str, change: tuple[int, int, int]) -> None:
    found = catalog.accounts[name]
    total, kept, rejected = change
    wrong = Account(found.total + total, found.kept + kept, found.rejected + rejected)
    with pytest.raises(AssertionError, match=name):
        replace(catalog, accounts={**catalog.accounts, name: wrong}).check()


def test_rejects_that_lose_more_than_the_account_says_are_found(catalog: Catalog) -> None:
    reject = Reject(RejectReason.IMAGE_MISSING, "a.txt:1", "a", None, 2, "")
    with pytest.raises(AssertionError, match="the rejects account for 2"):
        replace(catalog, rejects=[*catalog.rejects, reject]).check()
