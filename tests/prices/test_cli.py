"""`spanledger prices`: what a model costs, why a charge costs what it does, what has no price."""

from __future__ import annotations

import pytest

import spanledger
from spanledger import prices
from spanledger.cli import main
from spanledger.prices._book import HOME
from spanledger.sinks.ledger import LedgerSink

AT = "2026-11-16T12:00:00Z"
USAGE = {
    "input_tokens": 10_000,
    "output_tokens": 2000,
    "cache_read_input_tokens": 50_000,
    "inference_geo": "us",
    "speed": "fast",
    "server_tool_use": {"web_search_requests": 3},
}


def charge(model="claude-opus-5-5", usage=USAGE):
    return spanledger.price({"type": "message", "model": model, "usage": usage}, provider="anthropic", at=AT)


@pytest.fixture
def ledger(tmp_path):
    def keep(*charges):
        sink = LedgerSink(tmp_path / "spend.ledger")
        for one in charges:
            sink.book(one)
        sink.close()
        return str(tmp_path / "spend.ledger")

    return keep


def test_show_prints_the_rows_that_hold_on_a_day(capsys):
    assert main(["prices", "show", "gpt-5.6-luna", "--provider", "openai", "--at", "2026-07-29"]) == 0
    before = capsys.readouterr().out
    assert main(["prices", "show", "gpt-5.6-luna", "--provider", "openai", "--at", "2026-07-30"]) == 0
    after = capsys.readouterr().out
    assert "input 1," in before
    assert "input 0.2," in after
    assert "bundled: genai-prices" in after


def test_show_of_a_model_that_nobody_knows_says_how_to_add_it(capsys):
    assert main(["prices", "show", "gpt-9-imagined"]) == 1
    assert "spanledger.prices.add('gpt-9-imagined'" in capsys.readouterr().out


def test_show_of_a_day_that_is_none_is_refused(capsys):
    assert main(["prices", "show", "gpt-4o", "--at", "soon"]) == 2
    assert "--at is 'soon'" in capsys.readouterr().err


def test_explain_shows_each_row_and_its_arithmetic(capsys, ledger):
    one = charge()
    assert main(["prices", "explain", one.charge_id, ledger(one)]) == 0
    out = capsys.readouterr().out
    assert (
        "input: 10000 x 8 / 1,000,000 x 1.1 (residency) = 0.088   [bundled] anthropic/claude-opus-5-5?speed=fast" in out
    )
    assert "web_search: 3 x 10 / 1,000 = 0.03" in out
    assert f"= {one.list_cost} USD (exact)" in out


def test_explain_of_a_charge_that_is_not_there(capsys, ledger):
    assert main(["prices", "explain", "none", ledger(charge())]) == 1
    assert "has no charge none" in capsys.readouterr().out


def test_check_names_what_has_no_sure_price(capsys, ledger):
    path = ledger(
        charge(), charge("claude-unheard-of"), charge("claude-unheard-of"), charge(usage={**USAGE, "speed": "warp"})
    )
    assert main(["prices", "check", path]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "2  unknown  anthropic claude-unheard-of: no price for claude-unheard-of on anthropic" in lines[0]
    assert "no price for speed=warp" in lines[1]
    assert lines[2].startswith("give what is unknown a price, and price it again: spanledger.prices.add(MODEL,")


def test_check_tells_what_is_stale(capsys, ledger, tmp_path):
    own = tmp_path / "prices.toml"
    own.write_text('[[price]]\nmodel = "claude-opus-5-5"\nprovider = "anthropic"\ninput = "1"\noutput = "2"\n')
    path = ledger(charge(usage={"input_tokens": 1_000_000, "output_tokens": 0}))
    assert main(["prices", "check", path, "--stale"]) == 0
    assert main(["prices", "--prices", str(own), "check", path, "--stale"]) == 1
    assert "1  stale    claude-opus-5-5: price, -3" in capsys.readouterr().out


def test_check_with_rows_of_your_own_still_tells_what_is_stored(capsys, ledger, tmp_path):
    own = tmp_path / "prices.toml"
    own.write_text('[[price]]\nmodel = "claude-unheard-of"\nprovider = "anthropic"\ninput = "1"\noutput = "2"\n')
    one = charge("claude-unheard-of", {"input_tokens": 10, "output_tokens": 1})
    assert main(["prices", "--prices", str(own), "explain", one.charge_id, ledger(one)]) == 0
    assert "[user] anthropic/claude-unheard-of" in capsys.readouterr().out


def test_diff_with_the_same_book_is_empty(capsys):
    assert main(["prices", "diff", str(HOME)]) == 0
    assert capsys.readouterr().out == ""


def test_diff_with_what_is_no_book_is_refused(capsys, tmp_path):
    assert main(["prices", "diff", str(tmp_path)]) == 2
    assert "is no price book" in capsys.readouterr().err


def test_update_writes_rows_that_can_be_loaded(capsys, tmp_path):
    pytest.importorskip("genai_prices", reason="the extra genai-prices is not installed")
    path = tmp_path / "live.toml"
    assert main(["prices", "update", str(path)]) == 0
    assert f": {path}" in capsys.readouterr().out
    prices.load(path)
