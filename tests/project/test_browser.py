"""The tests' own browser sees what it must: errors, requests, widths."""

from __future__ import annotations

import pytest
from browser import Browser, BrowserError
from PIL import Image


def page(folder, content):
    path = folder / "page.html"
    path.write_text(f"<!doctype html><title>A page</title>{content}", encoding="utf-8")
    return path


def test_a_quiet_page(browser: Browser, tmp_path):
    browser.open(page(tmp_path, "<p>中文<img alt='' src='data:image/gif;base64,R0lGODlhAQ=='>"))
    assert browser.evaluate("document.title") == "A page"
    assert browser.evaluate("document.querySelector('p').textContent") == "中文"
    assert (browser.errors(), browser.requests(), browser.overflow()) == ([], [], 0)


def test_outside_requests_are_seen_and_stopped(browser: Browser, tmp_path):
    path = page(
        tmp_path,
        "<link rel=stylesheet href=https://example.org/a.css><img src=http://example.org/b.png>"
        "<script>new WebSocket('ws://example.org/c'); fetch('http://127.0.0.1:1/d')</script>",
    )
    browser.open(path)
    assert sorted(browser.requests()) == [
        "http://127.0.0.1:1/d",
        "http://example.org/b.png",
        "https://example.org/a.css",
        "ws://example.org/c",
    ]
    assert any("ERR_NAME_NOT_RESOLVED" in error for error in browser.errors())


def test_errors_are_those_of_this_page(browser: Browser, tmp_path):
    browser.open(page(tmp_path, "<script>throw new Error('at once')</script>"))
    assert ["at once" in error for error in browser.errors()] == [True]
    browser.open(page(tmp_path, "<p>fine"))
    assert browser.errors() == []
    with pytest.raises(BrowserError, match="nothing"):
        browser.evaluate("nothing.at_all")


def test_width_scheme_and_overflow(browser: Browser, tmp_path):
    path = page(tmp_path, "<body style='margin: 0'><div style='width: 450px; height: 2000px'>")
    browser.open(path, width=400, dark=True)
    assert browser.evaluate("window.innerWidth") == 400  # narrower than a window can be
    assert browser.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert browser.overflow() == 50
    browser.screenshot(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as image:
        assert image.size == (450, 2000)
    browser.resize(500)
    assert browser.overflow() == 0
    browser.open(path, width=1200, media="print")
    assert browser.evaluate("matchMedia('print').matches")
    assert browser.overflow() == 0


def test_mouse_keyboard_and_waiting(browser: Browser, tmp_path):
    path = page(
        tmp_path, "<input><button onclick=\"setTimeout(() => document.title = 'late', 60)\">Go"
    )
    browser.open(path)
    browser.type("input", "abc")
    browser.click("button")
    browser.wait("document.title == 'late'")
    assert browser.evaluate("document.querySelector('input').value") == "abc"
    with pytest.raises(BrowserError, match=r"^not true in 0.1 s: document\.title == 'never'$"):
        browser.wait("document.title == 'never'", timeout_seconds=0.1)
