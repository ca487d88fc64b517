"""The frame codec: every frame comes back, whatever it is, and a slow decoder written from its description agrees."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsabench.training.frames.codec import FRAME_BYTES, LONGEST_CODE, decode_runs, encode_frame


def encode(frame, before):
    out = np.empty(LONGEST_CODE, np.uint8)
    return out[: encode_frame(frame, before, out)].tobytes()


def naive_decode(code, before):
    """As the module describes it, one number after another."""
    numbers, frame, place, at = [], before.copy(), 0, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = code[at]
            at += 1
            value += (byte % 128) << shift
            shift += 7
            if byte < 128:
                numbers.append(value)
                return value

    while True:
        place += number()
        if place == FRAME_BYTES:
            assert at == len(code)
            return frame
        for _ in range(number()):
            frame[place] ^= code[at]
            place, at = place + 1, at + 1
        if place == FRAME_BYTES:
            assert at == len(code)
            return frame


def decode(code, before):
    out = np.empty((1, 1, FRAME_BYTES), np.uint8)
    blocks, data = np.array([0, len(code)]), np.frombuffer(code, np.uint8)
    damaged = decode_runs(data, blocks, before[None].copy(), (1, 16), np.array([0]), out)
    return damaged, out[0, 0]


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, share=st.sampled_from([0.0, 1e-4, 0.01, 0.2, 0.5, 0.97, 1.0]), run=st.integers(1, 300))
def test_frames_come_back(seed, share, run):
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 256, FRAME_BYTES, dtype=np.uint8)
    changed = np.repeat(rng.random(-(-FRAME_BYTES // run)) < share, run)[:FRAME_BYTES]
    frame = np.where(changed, rng.integers(0, 256, FRAME_BYTES, dtype=np.uint8), before)
    code = encode(frame, before)
    assert np.array_equal(naive_decode(code, before), frame)
    damaged, found = decode(code, before)
    assert damaged == -1
    assert np.array_equal(found, frame)


def test_codes_worked_out_by_hand():
    before = np.full(FRAME_BYTES, 9, np.uint8)
    assert encode(before, before) == bytes([0x90, 0x37])  # 7056 = 0x37 * 128 + 0x10
    frame = before.copy()
    frame[[300, 302]] = 8, 12
    # Skip 300 = 2 * 128 + 44; three pixels, the middle one XORed with 0; skip the other 6753 = 52 * 128 + 97.
    assert encode(frame, before) == bytes([0x80 | 44, 2, 3, 9 ^ 8, 0, 9 ^ 12, 0x80 | 97, 52])


def test_the_longest_code_fits():
    before = np.zeros(FRAME_BYTES, np.uint8)
    for period in range(1, 12):
        frame = before.copy()
        frame[::period] = 1
        assert len(encode(frame, before)) <= LONGEST_CODE


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_damaged_code_is_read_safely(seed):
    rng = np.random.default_rng(seed)
    code = rng.integers(0, 256, rng.integers(1, 400), dtype=np.uint8).tobytes()
    damaged, _ = decode(code, np.zeros(FRAME_BYTES, np.uint8))
    assert damaged in (-1, 0)


@pytest.mark.parametrize("cut", [0, 1, 2, 5])
def test_code_that_was_cut_off_is_damage(cut):
    before = np.zeros(FRAME_BYTES, np.uint8)
    frame = before.copy()
    frame[:50] = 7
    assert decode(encode(frame, before)[:cut], before)[0] == 0
