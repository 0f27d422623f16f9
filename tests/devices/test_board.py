"""The board: what one process writes, others read whole."""

import os
import subprocess
import sys
import threading

import pytest

from isotherm.devices.board import CELLS_MOST, TEXT_BYTES_MOST, Board, State, create_board


def test_a_slot_tells_what_its_owner_wrote():
    board = create_board(3)
    slot = board.slots[1]
    slot.enter(State.SERVING, 4711)
    slot.beat(123_456, connections=7)
    other = Board(board.descriptor, 3)
    seen = other.slots[1]
    assert (seen.state, seen.pid, seen.beat_ms, seen.connections) == (State.SERVING, 4711, 123_456, 7)
    assert other.slots[0].state is State.ABSENT
    assert other.slots[2].pid == 0


def test_another_process_reads_and_writes_the_same_memory():
    board = create_board(2)
    board.slots[0].publish(b"from above")
    script = (
        "import sys; from isotherm.devices.board import Board; board = Board(int(sys.argv[1]), 2);"
        "board.slots[1].publish(board.slots[0].read() + b' and below'); board.slots[1].cells(5)[4] = 2**63"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(board.descriptor)], pass_fds=[board.descriptor], check=True, timeout=60
    )
    assert board.slots[1].read() == b"from above and below"
    assert list(board.slots[1].cells(5)) == [0, 0, 0, 0, 2**63]


def test_counters_and_text_outlive_their_owner():
    slot = create_board(1).slots[0]
    slot.enter(State.SERVING, os.getpid())
    slot.cells(2)[1] = 5
    slot.publish(b"told")
    slot.count(3)
    slot.leave()
    assert (slot.state, slot.connections) == (State.ABSENT, 0)
    assert slot.cells(2)[1] == 5
    assert slot.read() == b"told"


def test_text_and_counters_do_not_reach_into_each_other_or_the_next_slot():
    first, second = create_board(2).slots
    first.publish(b"x" * TEXT_BYTES_MOST)
    for at in range(CELLS_MOST):
        first.cells(CELLS_MOST)[at] = at
    assert first.read() == b"x" * TEXT_BYTES_MOST
    assert list(first.cells(CELLS_MOST)) == list(range(CELLS_MOST))
    assert first.state is State.ABSENT
    assert second.read() == b""
    assert second.pid == 0
    with pytest.raises(ValueError, match="at most"):
        first.publish(b"x" * (TEXT_BYTES_MOST + 1))


def test_a_text_is_never_read_in_halves():
    slot = create_board(1).slots[0]
    texts = [bytes([number]) * 20_000 for number in range(1, 9)]
    slot.publish(texts[0])
    done = threading.Event()

    def write():
        while not done.is_set():
            for text in texts:
                slot.publish(text)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        read = [slot.read() for _ in range(2_000)]
    finally:
        done.set()
        writer.join()
    assert all(not text or text in texts for text in read)
    assert any(read)
