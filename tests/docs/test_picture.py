"""The picture of docs/architecture.md is that of the import contract."""

from __future__ import annotations

import pytest

from tests.docs.picture import CONTENTS, PICTURE, STEPS, draw, layers


def test_the_picture_is_up_to_date() -> None:
    if PICTURE.read_text() != draw(layers()):
        pytest.fail("run `python -m tests.docs.picture`, and look at the picture")


def test_every_package_of_the_contract_is_described() -> None:
    names = {name for row in layers() for name in row}

    assert names == set(CONTENTS)
    assert names >= set(STEPS)
