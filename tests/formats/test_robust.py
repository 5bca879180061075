"""Whatever a file holds, reading it ends in a program with a verdict or in one message of one line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.errors import InputError
from fabric.formats import judge, timed
from fabric.formats.chakra import read_chakra
from fabric.formats.goal import read_goal
from fabric.formats.msccl import read_msccl
from fabric.formats.mscclpp import read_mscclpp
from fabric.formats.program import Program

from .files import msccl
from .test_chakra import GOOD, receive
from .test_goal import PING
from .test_mscclpp import reduce_plan

SAMPLES: dict[str, tuple[bytes, Callable[[bytes, str], Program]]] = {
    "msccl": (msccl("allreduce", 2, [[(1, 1, ["s i1", "rrc i0"])], [(0, 0, ["s i0", "rrc i1 after 0.0 signal"])]]), read_msccl),
    "mscclpp": (json.dumps(reduce_plan()).encode(), read_mscclpp),
    "goal": (PING.encode(), read_goal),
    "chakra": (GOOD, lambda data, file: read_chakra([(file, data), ("other", receive())], "t")),
}


@pytest.mark.parametrize("name", list(SAMPLES))
@given(data=st.data())
def test_damaged_files_give_a_verdict_or_one_message(name: str, data: st.DataObject) -> None:
    good, read = SAMPLES[name]
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 12)))
    new = data.draw(st.binary(max_size=6) | st.sampled_from([b"-1", b"99999999999", b"null", b'"', b"<", b"{}", b"[]"]))
    program = outcome(read, good[:start] + new + good[end:])
    if isinstance(program, str):
        assert program.startswith(("damaged", "other"))
        assert "\n" not in program
        return
    judgement = judge(program)
    assert len(judgement.sent) == program.ranks
    if judgement.holds:
        assert timed(program).transfers == sum(action.receiver >= 0 or action.pause > 0 for action in program.actions)


def outcome(read: Callable[[bytes, str], Program], data: bytes) -> Program | str:
    """The program, or why there is none."""
    try:
        return read(data, "damaged")
    except InputError as error:
        return str(error)
