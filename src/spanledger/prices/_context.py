"""What decides a price besides the model: the words of each API, mapped onto the dimensions of the book.

Dimensions are `tier`, `batch`, `speed`, `geo`, `deployment`, `region` and `provisioned`. A word that is not in the
table becomes a value of its own, so that a tier nobody knows yet is reported and never priced as standard in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

Dims = dict[str, str]

DIMENSION: Final[Mapping[str, str]] = {
    "service_tier": "tier",
    "traffic_type": "tier",
    "inference_geo": "geo",
    "speed": "speed",
    "batch": "batch",
    "deployment_type": "deployment",
    "region": "region",
    "refusal": "refusal",
    "size": "size",
    "quality": "quality",
    "commitment": "commitment",
    "endpoint": "endpoint",
}

WORDS: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "service_tier": {
        "default": {},
        "standard": {},
        "standard_only": {},
        "auto": {},
        "on_demand": {},
        "unspecified": {},
        "fast": {"tier": "priority"},
        "batch": {"batch": "true"},
        "provisioned": {"provisioned": "true"},
        "reserved": {"provisioned": "true"},
    },
    "traffic_type": {
        "traffic_type_unspecified": {},
        "on_demand": {},
        "on_demand_flex": {"tier": "flex"},
        "on_demand_priority": {"tier": "priority"},
        "provisioned_throughput": {"provisioned": "true"},
        "batch": {"batch": "true"},
    },
    "inference_geo": {"global": {}, "not_available": {}, "unspecified": {}},
    "speed": {"standard": {}, "default": {}},
    "batch": {"false": {}, "0": {}},
    "deployment_type": {
        "globalstandard": {"deployment": "global"},
        "standard": {"deployment": "regional"},
        "regionalstandard": {"deployment": "regional"},
        "datazonestandard": {"deployment": "datazone"},
        "globalbatch": {"deployment": "global", "batch": "true"},
        "datazonebatch": {"deployment": "datazone", "batch": "true"},
        "globalprovisionedmanaged": {"deployment": "global", "provisioned": "true"},
        "globalprovisioned": {"deployment": "global", "provisioned": "true"},
        "datazoneprovisionedmanaged": {"deployment": "datazone", "provisioned": "true"},
        "datazoneprovisioned": {"deployment": "datazone", "provisioned": "true"},
        "provisionedmanaged": {"deployment": "regional", "provisioned": "true"},
        "provisioned": {"deployment": "regional", "provisioned": "true"},
        "regionalprovisioned": {"deployment": "regional", "provisioned": "true"},
    },
}
"""What each word of an API says; an empty mapping is a word for the ordinary price."""

HOSTS: Final = (
    (re.compile(r"^(eu|us|au|in|jp|kr|sg|uk|ae|ca)\.api\.openai\.com$"), "geo"),
    (re.compile(r"^bedrock-[a-z-]+\.([a-z]{2}(?:-[a-z]+)+-\d)\."), "region"),
    (re.compile(r"^bedrock-mantle\.([a-z]{2}(?:-[a-z]+)+-\d)\."), "region"),
    (re.compile(r"^([a-z]+-[a-z]+\d)-aiplatform\.(?:mtls\.)?googleapis\.com$"), "region"),
    (re.compile(r"^aiplatform\.(eu|us)\.rep\.googleapis\.com$"), "region"),
)
"""Hosts that name a place."""

AWS_PLACES: Final = (("us-gov-", "us-gov"), ("us-", "us"), ("eu-", "eu"), ("ca-", "ca"), ("ap-", "apac"), ("sa-", "sa"))
NO_REGION: Final = frozenset({"openai", "anthropic", "google"})
"""Platforms whose own API has one price for every region: a region in the context is no dimension there."""


def dimensions(platform: str, context: Mapping[str, str], geo: str | None) -> Dims:
    """The dimensions of a call. `geo` is what the model id said of geography, such as Bedrock's `eu.` prefix."""
    dims: Dims = {}
    for key, dimension in DIMENSION.items():
        value = context.get(key)
        if value:
            word = value.lower()
            dims.update(WORDS.get(key, {}).get(word, {dimension: word}))
    _place(dims, context.get("server_address") or "")
    _settle_region(platform, dims)
    if geo is not None:
        dims["geo"] = geo
    return dims


def _place(dims: Dims, host: str) -> None:
    for pattern, dimension in HOSTS:
        found = pattern.match(host)
        if found and dimension not in dims:
            dims[dimension] = found[1]
            return


def _settle_region(platform: str, dims: Dims) -> None:
    """Puts a region into the words of the platform's price list."""
    region = dims.get("region")
    if region is None:
        return
    if platform == "azure":
        dims["region"] = region.replace(" ", "").replace("-", "")
        return
    del dims["region"]
    if platform == "aws":
        dims.setdefault("geo", next((geo for prefix, geo in AWS_PLACES if region.startswith(prefix)), region))
        dims["region"] = region
    elif platform not in NO_REGION and region != "global":
        dims.setdefault("geo", "regional")
