"""What rules do to a ledger: coverage, samples, and the difference between two plans."""

from datetime import date
from decimal import Decimal

import pytest

from spanledger.errors import PlanError
from spanledger.finops import coverage

HEAD = {"name": "p", "version": "1", "hierarchy": ["owner"]}


def plan(*rules, samples=(), tag="owner"):
    tags = {tag: {"default": "nobody", "rules": list(rules)}}
    return {"plan": {**HEAD, "hierarchy": [tag]}, "tags": tags, "samples": list(samples)}


ACME = {"name": "acme", "when": {"customer": "acme"}, "value": "key account", "review_by": date(2026, 11, 20)}
CHAT = {"name": "chat", "when": {"feature": "chat", "customer": "acme"}, "value": "chat", "version": 2}
ODD = {"name": "odd", "when": {"feature": "video"}, "value": "video"}
TEAMS = {"name": "teams", "when": {"team": ["search", "support"]}, "value": "{team}"}


def test_coverage_tells_owned_shadowed_unused_and_stale(golden):
    found = coverage.coverage(golden, plan(ACME, CHAT, ODD, TEAMS), "2026-11", as_of=date(2026, 11, 21)).rows()
    assert [(row["rule"], row["charges"], row["cost"], row["shadowed"], row["state"]) for row in found] == [
        ("acme", 6000, 600, 0, "stale, owns"),
        ("chat", 0, 0, 6000, "shadowed"),
        ("odd", 0, 0, 0, "unused"),
        ("teams", 3000, 400, 6000, "owns"),
        ("(default)", 1000, 200, 0, "default"),
    ]
    assert sum(row["cost"] for row in found) == 1200


def test_a_rule_is_not_stale_on_the_day_of_its_review(golden):
    found = coverage.coverage(golden, plan(ACME), "2026-11", as_of=date(2026, 11, 20)).rows()
    assert found[0]["state"] == "owns"


def test_samples_are_charges_and_the_owners_that_they_must_have():
    good = {"name": "acme chats", "charge": {"customer": "acme"}, "expect": {"owner": "key account"}}
    bad = {"name": "video", "charge": {"feature": "video"}, "expect": {"owner": "chat"}}
    assert coverage.failures(plan(ACME, CHAT, ODD, samples=[good, bad])) == [("video", "owner", "chat", "video")]
    with pytest.raises(PlanError, match="sample 'video': expect names 'owner', which is no virtual tag: other"):
        coverage.failures(plan(ACME, samples=[bad], tag="other"))


def test_a_change_of_rules_says_who_gains_and_who_loses(golden):
    moves = coverage.difference(golden, plan(ACME, TEAMS), plan(CHAT, TEAMS), "2026-11")
    assert [(row["before"], row["after"], row["charges"], row["cost"]) for row in moves] == [
        ("key account", "chat", 6000, Decimal(600))
    ]
    found = {row["owner"]: row["gains"] for row in coverage.gains(moves)}
    assert found == {"key account": -600, "chat": 600}
    assert not coverage.difference(golden, plan(TEAMS), plan(TEAMS), "2026-11").rows()


def test_plans_without_a_tag_in_common_cannot_be_compared(golden):
    with pytest.raises(PlanError, match="has no virtual tag that"):
        coverage.difference(golden, plan(ACME), plan(ACME, tag="other"), "2026-11")
