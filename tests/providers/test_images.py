"""Images are billed by tokens where the response reports them, else by the image."""

import pytest

from spanledger.providers import _openai_images
from spanledger.providers._reading import Request

PICTURE = {"b64_json": "aGVsbG8="}
USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 40, "image_tokens": 10},
    "output_tokens": 4160,
    "output_tokens_details": {"image_tokens": 4160, "text_tokens": 0},
    "total_tokens": 4210,
}
UNITS = {"input": 40, "input_image": 10, "output": 0, "output_image": 4160}


def whole(**more):
    return {"created": 1, "data": [PICTURE], "usage": USAGE, **more}


def test_gpt_image_is_billed_by_text_and_image_tokens(canned, client, charges):
    canned.answer(whole())
    client.images.generate(model="gpt-image-1.5", prompt="a stop sign")
    (charge,) = charges
    assert charge.usage == UNITS
    assert (charge.input_tokens, charge.output_tokens, charge.usage_source) == (50, 4160, "reported")
    assert (charge.operation, charge.request_model, charge.status) == ("generate_content", "gpt-image-1.5", "ok")


def test_without_details_all_of_the_output_is_the_image():
    usage = {name: value for name, value in USAGE.items() if name != "output_tokens_details"}
    state = {}
    _openai_images.fold_images(state, whole(usage=usage))
    reading = _openai_images.read_images(state, Request("gpt-image-1"))
    assert reading.usage.units == UNITS
    assert reading.usage.flaw is None


async def test_an_edit_is_a_form_and_its_fields_are_seen(canned, async_client, charges):
    canned.answer(whole())
    await async_client.images.edit(model="gpt-image-1", prompt="greener", image=("a.png", b"\x89PNG"))
    assert b'name="model"' in canned.asked[0][2]
    assert (charges[0].request_model, charges[0].usage) == ("gpt-image-1", UNITS)


def test_a_stream_of_images_reports_at_its_end(canned, client, charges):
    partial = {"type": "image_generation.partial_image", "b64_json": "aGVs", "partial_image_index": 0}
    canned.answer([partial, {"type": "image_generation.completed", "b64_json": "aGVsbG8=", "usage": USAGE}])
    stream = client.images.generate(model="gpt-image-1", prompt="a stop sign", stream=True, partial_images=1)
    assert [event.type for event in stream] == ["image_generation.partial_image", "image_generation.completed"]
    assert [(charge.usage, charge.stream, charge.status) for charge in charges] == [(UNITS, True, "ok")]


def test_a_stream_that_is_broken_off_before_the_image_has_no_usage(canned, client, charges):
    partial = {"type": "image_generation.partial_image", "b64_json": "aGVs", "partial_image_index": 0}
    canned.answer([partial, partial, {"type": "image_generation.completed", "b64_json": "aGVsbG8=", "usage": USAGE}])
    stream = client.images.generate(model="gpt-image-1", prompt="a stop sign", stream=True, partial_images=2)
    next(iter(stream))
    stream.close()
    assert [(charge.usage, charge.status, charge.cost_status) for charge in charges] == [(None, "aborted", "unknown")]


@pytest.mark.parametrize(
    ("asked", "form"),
    [
        ({"model": "dall-e-3"}, {"size": "1024x1024", "quality": "standard"}),
        ({"model": "dall-e-3", "quality": "hd", "size": "1024x1792"}, {"size": "1024x1792", "quality": "hd"}),
        ({"model": "dall-e-2", "n": 3, "size": "256x256"}, {"size": "256x256"}),
    ],
)
def test_dall_e_is_billed_by_the_image_at_its_size_and_quality(canned, client, charges, asked, form):
    canned.answer({"created": 1, "data": [PICTURE] * asked.get("n", 1)})
    client.images.generate(prompt="a stop sign", **asked)
    (charge,) = charges
    assert charge.usage == {"images": asked.get("n", 1)}
    assert charge.price_context == form


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_a_variation_is_billed_by_the_image(canned, client, charges):
    canned.answer({"created": 1, "data": [PICTURE, PICTURE]})
    client.images.create_variation(model="dall-e-2", image=("a.png", b"\x89PNG"), n=2)
    assert charges[0].usage == {"images": 2}


def test_an_svg_is_billed_to_the_model_that_wrote_it_too(canned, client, charges):
    svg = {"model": "gpt-6", "input_tokens": 7, "output_tokens": 90, "reasoning_tokens": 30, "total_tokens": 97}
    canned.answer(whole(svg_usage=svg))
    client.images.generate(model="gpt-image-2", prompt="a stop sign")
    assert charges[0].usage == {**UNITS, "input@gpt-6": 7, "output@gpt-6": 60, "reasoning@gpt-6": 30}


def test_a_cost_that_xai_states_is_kept(canned, client, charges):
    canned.answer({"data": [PICTURE], "usage": {"cost_in_usd_ticks": 700000000}})
    client.images.generate(model="grok-2-image", prompt="a stop sign")
    assert (str(charges[0].provider_cost), charges[0].usage) == ("0.07", {"images": 1})


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": "x", "usage": "none"}, {"usage": {"input_tokens": "9"}}])
def test_broken_bodies_have_no_usage(body):
    state = {}
    _openai_images.fold_images(state, body)
    usage = _openai_images.read_images(state, Request()).usage
    assert usage is None or not usage.usable
