"""The same provider response is booked once, whoever sees it; two HTTP responses are two charges."""

import os
import sys
import threading

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger import _seen
from spanledger.testing import ProviderServer, Reply, capture_charges


@given(st.lists(st.integers(0, 60)), st.integers(1, 12))
def test_recent_keeps_at_least_the_limit_and_at_most_twice_as_many(keys, limit):
    recent = _seen.Recent(limit)
    for key in keys:
        recent.put(str(key), key)
    latest = list(dict.fromkeys(reversed(keys)))[:limit]
    assert all(recent.get(str(key)) == key for key in latest)
    assert sum(str(key) in recent for key in set(keys)) <= 2 * limit


def test_of_many_threads_that_take_a_key_one_gets_it():
    recent = _seen.Recent(1000)
    taken = []
    keys = [str(number) for number in range(200)]
    for key in keys:
        recent.put(key, key)
    barrier = threading.Barrier(8)

    def take():
        barrier.wait()
        taken.extend(value for key in keys if (value := recent.pop(key)) is not None)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(keys)


@pytest.fixture
def server():
    with ProviderServer() as running:
        yield running


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=server.base_url + "/v1", api_key="any", max_retries=0) as made:
        yield made


def ask(client, **kwargs):
    return client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "hi"}], **kwargs)


def test_a_bridge_can_tell_that_a_response_is_booked(server, client):
    server.reply(Reply(response_id="chatcmpl-bridge"))
    with capture_charges() as charges:
        assert not _seen.seen("chatcmpl-bridge")
        ask(client)
        assert [charge.response_id for charge in charges] == ["chatcmpl-bridge"]
        assert _seen.seen("chatcmpl-bridge")


def test_a_bridge_can_tell_that_a_stream_is_about_to_be_booked(server, client):
    server.reply(Reply(response_id="chatcmpl-open"))
    with capture_charges() as charges:
        stream = ask(client, stream=True)
        next(stream)
        assert charges == []
        assert _seen.seen("chatcmpl-open")
        stream.close()
        assert len(charges) == 1


def test_two_http_responses_that_carry_the_same_id_are_two_charges(server, client):
    server.reply(Reply(response_id="chatcmpl-same"), Reply(response_id="chatcmpl-same"))
    with capture_charges() as charges:
        ask(client)
        ask(client)
    assert [charge.response_id for charge in charges] == ["chatcmpl-same", "chatcmpl-same"]
    assert len({charge.charge_id for charge in charges}) == 2


def test_two_instrumentations_of_one_process_book_once(client):
    from spanledger.providers import hooks

    with capture_charges() as charges, capture_charges() as inner:
        for hook in hooks():
            hook.enable()
        ask(client)
    assert len(charges) == len(inner) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="3.12 warns of a fork beside the server's threads")
def test_a_forked_child_knows_what_its_parent_booked_and_goes_on_alone(server, client):
    with capture_charges():
        server.reply(Reply(response_id="chatcmpl-parent"))
        ask(client)
        child = os.fork()
        if child == 0:
            _seen.note("chatcmpl-child")
            os._exit(0 if _seen.seen("chatcmpl-parent") and _seen.seen("chatcmpl-child") else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert not _seen.seen("chatcmpl-child")


@pytest.mark.parametrize("number", ["", None, 7])
def test_answers_without_an_id_are_charges_of_their_own(server, client, number):
    reply = Reply(amend=lambda body: {**body, "id": number})
    server.reply(reply, reply)
    with capture_charges() as charges:
        ask(client)
        ask(client)
    assert [charge.response_id for charge in charges] == [None, None]
    assert len({charge.charge_id for charge in charges}) == 2
