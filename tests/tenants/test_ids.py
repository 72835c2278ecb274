"""Ids are UUIDs of version 7: unique in every process, and in the order of their making."""

from __future__ import annotations

import copy
import os
import pickle
import time
from uuid import RFC_4122, UUID

import orjson

from tenants.ids import uuid7


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_it():
    before, made, after = time.time_ns() // 1_000_000, uuid7(), time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= after


def test_an_id_is_as_good_as_one_made_by_the_standard_library():
    made = uuid7()
    same = UUID(str(made))
    assert made == same == pickle.loads(pickle.dumps(made)) == copy.deepcopy(made)
    assert (hash(made), repr(made), made.is_safe) == (hash(same), repr(same), same.is_safe)
    assert orjson.dumps(made) == b'"%s"' % str(same).encode()


def test_ids_differ_and_rise_with_time():
    made = []
    for _ in range(20_000):
        made.append(uuid7())
        if len(made) % 1000 == 0:
            time.sleep(0.000_001)
    assert len(set(made)) == len(made)
    apart = made[::1000]
    assert apart == sorted(apart)


def test_a_forked_process_draws_other_random_bits():
    uuid7()  # there is a store to inherit
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"".join(uuid7().bytes[8:] for _ in range(100)))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 800)
    mine = {uuid7().bytes[8:] for _ in range(600)}
    assert len(theirs) == 800
    assert not mine & {theirs[at : at + 8] for at in range(0, 800, 8)}
