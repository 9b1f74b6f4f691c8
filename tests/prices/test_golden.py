"""The shared golden cases, price comparison and recorded traffic, where they are, through the public function."""

from __future__ import annotations

from collections import Counter

DIFFERS = {
    "aws anthropic.claude-3-5-sonnet-20241022-v2:0": "Public Extended Access since 2025-12-01 costs twice as much",
    "azure gpt-5.6-sol": "Azure's own meters, of 2026-08-11; the peers copy OpenAI's cut of 2026-08-21",
}
"""Rows of the comparison in which we stand by another price, and why."""


def test_every_golden_case_is_exact_to_the_last_digit(shared, tools):
    wrong = [
        (outcome.case["id"], outcome.charge.cost_status, outcome.amount)
        for outcome in tools("price_coverage").golden(shared)
        if not outcome.right
    ]
    assert wrong == []


def test_the_parts_of_a_golden_case_sum_to_its_list_cost(shared, tools):
    for outcome in tools("price_coverage").golden(shared):
        charge = outcome.charge
        if charge.costs:
            assert sum(charge.costs.values()) == charge.list_cost, outcome.case["id"]


def test_rates_agree_with_the_sources_that_the_comparison_calls_right(shared, tools):
    rows = [
        (row, ours, right) for row, ours, right in tools("price_coverage").compare(shared) if right and ours is not None
    ]
    differ = {f"{row['provider']} {row['model']}" for row, ours, right in rows if ours not in right}
    assert differ <= DIFFERS.keys()
    assert len(rows) > 500


def test_recorded_traffic_is_priced_without_an_exception(shared, tools):
    statuses = Counter(charge.cost_status for _, _, charge in tools("price_coverage").corpus(shared))
    assert sum(statuses.values()) > 10_000
    assert statuses["exact"] > 0.8 * sum(statuses.values())
