"""Speech is billed by the characters that were sent, transcriptions by their length or by tokens."""

from decimal import Decimal

import pytest

SOUND = ("a.wav", b"RIFF")
TOKENS = {
    "type": "tokens",
    "input_tokens": 26,
    "input_token_details": {"text_tokens": 5, "audio_tokens": 21},
    "output_tokens": 9,
    "total_tokens": 35,
}
UNITS = {"input": 5, "input_audio": 21, "output": 9}
SRT = b"1\n00:00:00,000 --> 00:00:02,000\nHello.\n\n2\n00:01:02,500 --> 01:00:04,250\nThere.\n"
VTT = b"WEBVTT\n\n00:00.000 --> 00:02.500\nHello.\n"
SPOKEN = "Grüße, 世界"


def speak(client, **kwargs):
    return client.audio.speech.create(model="tts-1", voice="alloy", input=SPOKEN, **kwargs)


def transcribe(client, **kwargs):
    return client.audio.transcriptions.create(**{"model": "gpt-4o-transcribe", "file": SOUND, **kwargs})


def test_speech_is_billed_by_the_characters_of_the_request(canned, client, charges):
    canned.answer(b"\xff\xfbsound", "audio/mpeg")
    assert speak(client).read() == b"\xff\xfbsound"
    (charge,) = charges
    assert charge.usage == {"characters": len(SPOKEN)}
    assert (charge.usage_source, charge.status, charge.request_model) == ("request", "ok", "tts-1")


async def test_speech_that_is_streamed_is_billed_once(canned, async_client, charges):
    canned.answer(b"\xff\xfb" * 5000, "audio/mpeg")
    async with async_client.audio.speech.with_streaming_response.create(
        model="tts-1-hd", voice="alloy", input=SPOKEN
    ) as response:
        read = [piece async for piece in response.iter_bytes()]
    assert b"".join(read) == b"\xff\xfb" * 5000
    assert [charge.usage for charge in charges] == [{"characters": len(SPOKEN)}]


@pytest.mark.parametrize("streaming", [False, True])
def test_speech_as_events_reports_tokens(canned, client, charges, streaming):
    done = {"type": "speech.audio.done", "usage": {"input_tokens": 10, "output_tokens": 93, "total_tokens": 103}}
    canned.answer([{"type": "speech.audio.delta", "audio": "AAAA"}, done])
    if streaming:
        with client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", voice="alloy", input=SPOKEN, stream_format="sse"
        ) as response:
            assert len(list(response.iter_lines())) >= 2
    else:
        client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input=SPOKEN, stream_format="sse")
    assert [(charge.usage, charge.usage_source) for charge in charges] == [
        ({"input": 10, "output_audio": 93}, "reported")
    ]
    assert (charges[0].input_tokens, charges[0].output_tokens) == (10, 93)


def test_a_transcription_by_tokens(canned, client, charges):
    canned.answer({"text": "hi", "usage": TOKENS})
    assert transcribe(client).text == "hi"
    (charge,) = charges
    assert (charge.usage, charge.operation, charge.usage_source) == (UNITS, "transcription", "reported")


def test_a_transcription_by_length(canned, client, charges):
    canned.answer({"text": "hi", "usage": {"type": "duration", "seconds": 4}})
    transcribe(client, model="whisper-1")
    assert charges[0].usage == {"audio_seconds": 4}


def test_the_length_of_a_verbose_body_without_usage(canned, client, charges):
    canned.answer({"text": "hi", "task": "transcribe", "language": "en", "duration": 3.7, "segments": []})
    transcribe(client, model="whisper-1", response_format="verbose_json")
    assert charges[0].usage == {"audio_seconds": Decimal("3.7")}


def test_mistral_counts_audio_beside_the_prompt(canned, client, charges):
    usage = {"prompt_tokens": 5, "completion_tokens": 20, "total_tokens": 400, "prompt_audio_seconds": 3}
    canned.answer({"text": "hi", "usage": {**usage, "prompt_tokens_details": {"audio_tokens": 375}}})
    transcribe(client, model="voxtral-mini-latest")
    assert charges[0].usage == {"input": 5, "input_audio": 375, "output": 20}
    assert charges[0].input_tokens == 380


def test_a_streamed_transcription_reports_at_its_end(canned, client, charges):
    done = {"type": "transcript.text.done", "text": "hi", "usage": TOKENS}
    canned.answer([{"type": "transcript.text.delta", "delta": "hi"}, done])
    assert [event.type for event in transcribe(client, stream=True)] == [
        "transcript.text.delta",
        "transcript.text.done",
    ]
    assert [(charge.usage, charge.status) for charge in charges] == [(UNITS, "ok")]


@pytest.mark.parametrize(("form", "body", "length"), [("srt", SRT, "3604.25"), ("vtt", VTT, "2.5")])
def test_captions_estimate_the_length(canned, client, charges, form, body, length):  # noqa: PLR0913, PLR0917
    canned.answer(body, "text/plain; charset=utf-8")
    assert transcribe(client, model="whisper-1", response_format=form) == body.decode()
    (charge,) = charges
    assert (charge.usage, charge.usage_source) == ({"audio_seconds": Decimal(length)}, "estimated")


def test_plain_text_has_no_usage_and_says_what_to_do(canned, client, charges):
    canned.answer(b"hello\n", "text/plain; charset=utf-8")
    assert transcribe(client, model="whisper-1", response_format="text") == "hello\n"
    (charge,) = charges
    assert (charge.usage, charge.cost_status) == (None, "unknown")
    assert "response_format='json'" in charge.cost_reason


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_a_translation_read_as_lines_of_a_streaming_response(canned, client, charges):
    canned.answer(SRT, "text/plain; charset=utf-8")
    with client.audio.translations.with_streaming_response.create(
        model="whisper-1", file=SOUND, response_format="srt"
    ) as response:
        assert list(response.iter_lines())[1] == "00:00:00,000 --> 00:00:02,000"
    assert charges[0].usage == {"audio_seconds": Decimal("3604.25")}


def test_a_refused_transcription_is_not_billed(canned, client, charges):
    import openai

    canned.answer({"error": {"message": "no"}}, status=400)
    with pytest.raises(openai.BadRequestError):
        transcribe(client)
    assert [(charge.cost_status, charge.status) for charge in charges] == [("not_billed", "error")]
