"""The shared schedule files, and MSCCL XML written in few words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

SCHEDULES = Path(__file__).parents[3] / "shared" / "data" / "schedules"
needs_data = pytest.mark.skipif(not SCHEDULES.is_dir(), reason="the shared data is not there")

Block = tuple[int, int, Sequence[str]]  # peer to send to, peer to receive from, steps


def step(number: int, text: str) -> str:
    """`s i0`, `rrc i0 i0`, `r o1 x2 after 1.0 signal`: type, source, destination, count, dependence, hasdep.

    One cell is both source and destination.
    """
    words = text.split()
    cells = [word for word in words[1:3] if word[0] in "ios" and word[1:].isdigit()] or ["i0"]
    count = next((word[1:] for word in words if word.startswith("x")), "0" if words[0] == "nop" else "1")
    block, other = words[words.index("after") + 1].split(".") if "after" in words else ("-1", "-1")
    source, target = cells[0], cells[-1]
    return (
        f'<step s="{number}" type="{words[0]}" srcbuf="{source[0]}" srcoff="{source[1:]}" dstbuf="{target[0]}" '
        f'dstoff="{target[1:]}" cnt="{count}" depid="{block}" deps="{other}" hasdep="{int("signal" in words)}"/>'
    )


def msccl(coll: str, chunks: int, gpus: Sequence[Sequence[Block]], *, scratch: int = 0, in_place: bool = True) -> bytes:
    """MSCCL XML with one line for each step; all on channel 0."""
    head = f'<algo name="small" proto="Simple" nchannels="1" nchunksperloop="{chunks}" ngpus="{len(gpus)}" coll="{coll}" '
    lines = [head + f'inplace="{int(in_place)}" outofplace="{int(not in_place)}" minBytes="0" maxBytes="0">']
    for rank, blocks in enumerate(gpus):
        lines.append(f'<gpu id="{rank}" i_chunks="{chunks}" o_chunks="{chunks}" s_chunks="{scratch}">')
        for number, (send, receive, steps) in enumerate(blocks):
            lines.append(f'<tb id="{number}" send="{send}" recv="{receive}" chan="0">')
            lines += [step(position, text) for position, text in enumerate(steps)]
            lines.append("</tb>")
        lines.append("</gpu>")
    return "\n".join([*lines, "</algo>"]).encode()
