"""Streams that are no chat end in one charge too, however they end, and with the best number that is known."""

import gc

import openai
import pytest

USAGE = {"input_tokens": 50, "output_tokens": 4160, "total_tokens": 4210}
PICTURES = [
    {"type": "image_generation.partial_image", "b64_json": "aGVs" * 50, "partial_image_index": 0},
    {"type": "image_generation.partial_image", "b64_json": "aGVs" * 50, "partial_image_index": 1},
    {"type": "image_generation.completed", "b64_json": "aGVsbG8=", "usage": USAGE},
]
WORDS = [
    {"type": "transcript.text.delta", "delta": "hello " * 30},
    {"type": "transcript.text.delta", "delta": "there " * 30},
    {"type": "transcript.text.done", "text": "hello there", "usage": {"type": "tokens", **USAGE}},
]
SOUND = b"\xff\xfb" * 4000


def images(client):
    return client.images.generate(model="gpt-image-1", prompt="a cat", stream=True, partial_images=2)


def transcription(client):
    return client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", b"RIFF"), stream=True)


SHAPES = {"images": (images, PICTURES), "transcription": (transcription, WORDS)}


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


def read(stream):
    assert len(list(stream)) == 3


def close(stream):
    next(stream)
    stream.close()


def leave(stream):
    with stream:
        next(stream)


def drop(stream):
    next(stream)
    del stream
    gc.collect()


ENDS = {"read": (read, "ok"), "close": (close, "aborted"), "leave": (leave, "aborted"), "drop": (drop, "aborted")}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("end", ENDS)
def test_a_stream_that_ends_so(canned, client, charges, shape, end):
    call, events = shape
    finish, status = ENDS[end]
    canned.answer(events)
    finish(call(client))
    gc.collect()
    (charge,) = charges
    assert (charge.status, charge.stream) == (status, True)
    assert (charge.usage_source == "reported") == (status == "ok")
    if status == "ok":
        assert (charge.input_tokens, charge.output_tokens) == (50, 4160)


def test_a_stream_that_is_cut(canned, client, charges, shape):
    call, events = shape
    canned.answer(events, cut=True)
    with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|connection"):
        list(call(client))
    (charge,) = charges
    assert charge.status == "error"
    assert charge.usage_source != "reported"


@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_refusal_is_not_billed(canned, client, charges, shape, status):
    call, _ = shape
    canned.answer({"error": {"message": "no"}}, status=status)
    with pytest.raises(openai.APIStatusError):
        call(client)
    assert [(charge.status, charge.cost_status) for charge in charges] == [("error", "not_billed")]


def test_a_success_after_a_refusal_is_one_charge(canned, client, charges, shape):
    call, events = shape
    canned.answer({"error": {"message": "later"}}, status=429)
    canned.answer(events)
    read(call(client.with_options(max_retries=1)))
    assert [(charge.status, charge.output_tokens) for charge in charges] == [("ok", 4160)]


def hear(client, pieces):
    create = client.audio.speech.with_streaming_response.create
    with create(model="tts-1", voice="alloy", input="hello") as response:
        assert len(list(zip(range(pieces), response.iter_bytes(100), strict=False))) == pieces


@pytest.mark.parametrize("pieces", [80, 1, 0])
def test_speech_is_billed_for_what_was_sent_however_much_of_it_is_heard(canned, client, charges, pieces):
    canned.answer(SOUND, "audio/mpeg")
    hear(client, pieces)
    assert [(charge.usage, charge.usage_source) for charge in charges] == [({"characters": 5}, "request")]


def test_speech_that_is_cut_is_billed_as_well(canned, client, charges):
    canned.answer(SOUND, "audio/mpeg", cut=True)
    with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|connection"):
        hear(client, 80)
    assert [(charge.usage, charge.status) for charge in charges] == [({"characters": 5}, "error")]


def test_a_retrieval_that_is_refused_or_cut_leaves_the_charge_open(canned, client, charges):
    begun = {"id": "resp_exits", "object": "response", "model": "gpt-5-mini", "status": "queued", "background": True}
    over = {**begun, "status": "completed", "usage": USAGE, "output": []}
    canned.answer({**begun, "output": []})
    canned.answer({"error": {"message": "later"}}, status=500)
    canned.answer(over, cut=True)
    canned.answer(over)
    client.responses.create(model="gpt-5-mini", input="hi", background=True)
    with pytest.raises(openai.InternalServerError):
        client.responses.retrieve("resp_exits")
    with pytest.raises(openai.APIConnectionError):
        client.responses.retrieve("resp_exits")
    assert len(charges) == 1
    client.responses.retrieve("resp_exits")
    assert [charge.output_tokens for charge in charges][1:] == [4160]
