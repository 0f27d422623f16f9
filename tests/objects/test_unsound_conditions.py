"""A condition that cannot mean anything is refused: one that is ignored would overwrite what it was to protect."""

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid
from isotherm.objects.model import Condition

UNSOUND = [True, b"*", ("*",), "", '"0123"', 7]


@pytest.mark.parametrize("etag", UNSOUND)
@pytest.mark.parametrize("name", ["if_match", "if_none_match"])
def test_it_is_refused_and_nothing_is_written(space, name, etag):
    drive(space.put("box", "key", b"kept"))
    condition = Condition(**{name: etag})
    with pytest.raises(Invalid, match=name):
        drive(space.put("box", "key", b"lost", condition=condition))
    with pytest.raises(Invalid, match=name):
        drive(space.copy("box", "key", "box", "other", condition=condition))
    with pytest.raises(Invalid, match=name):
        drive(space.delete("box", "key", condition=condition))
    assert drive(space.read("box", "key")) == b"kept"
