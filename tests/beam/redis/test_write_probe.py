"""The commands of a probe of Redis."""

from __future__ import annotations

import re

from beam.redis.write_probe import PROBE
from tests.processes import ROOT


def test_a_probe_calls_every_command_of_presence() -> None:
    folder = ROOT / "presence"
    scripts = "".join(path.read_text() for path in folder.glob("lua/*.lua"))
    code = "".join(path.read_text() for path in folder.glob("*.py"))
    used = set(re.findall(r"redis[.]call\('([A-Z]+)'", scripts))
    used |= set(re.findall(r'[(]"([A-Z]{3,})"', code))

    assert {"HGETALL", "ZREM", "SCAN", "ZRANGEBYLEX"} < used
    assert used <= set(re.findall(r"'([A-Z]+)'", PROBE))
