"""The reader of documents: what it takes, and that nothing a client sends gets further than MalformedXML."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotherm.errors import Invalid
from isotherm.protocols.s3.xml import carried, document, escape, needs_escape, parse, tag

BOMB = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><a>&c;</a>"""
OUTSIDE = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<a>",
        b"<a/><a/>",
        b"<b/>",
        b"\xff\xfe<\x00a\x00/\x00>\x00",
        b'<?xml version="1.0" encoding="UTF-16"?><a/>',
        b'<?xml version="1.0" encoding="latin-1"?><a/>',
        b"<a>\xff</a>",
        b"<a>&unknown;</a>",
        b"<a>&#0;</a>",
        b"<a>\x01</a>",
        b"<?php ?><a/>",
        b'<a xmlns="http://example.org/"/>',
        b'<x:a xmlns:x="ftp://s3.amazonaws.com/doc/2006-03-01/"/>',
        b"<a>" + b"<b>" * 10 + b"</b>" * 10 + b"</a>",
        b"<a>" + b"<b/>" * 100_000 + b"</a>",
        b"<a>" + b"x" * 20_000 + b"</a>",
        b"<!DOCTYPE a><a/>",
        BOMB,
        OUTSIDE,
    ],
)
def test_malformed(body):
    with pytest.raises(Invalid) as refused:
        parse(body, ("a",))
    assert refused.value.code == "MalformedXML"


def test_text_and_children():
    root = parse(
        b'\n<?xml version="1.0" encoding="utf-8"?><a xmlns="http://s3.amazonaws.com/doc/2006-03-01/">\n'
        b"<k> &lt;&#10;\xc3\xa9<![CDATA[<&]]></k><!-- no --><e/>\n</a>".strip(),
        ("a",),
    )
    root.expect("k", "e")
    assert (root.value("k"), root.value("e"), root.value("none")) == (" <\né<&", "", None)


def test_strictness():
    root = parse(b"<a>text<b><c/></b><b/></a>", ("a",))
    for check in (
        lambda: root.expect("b"),
        lambda: root.expect("x"),
        lambda: root.value("b"),
        lambda: root.needed("x"),
    ):
        with pytest.raises(Invalid):
            check()
    with pytest.raises(Invalid):
        root.children[0].leaf()


def test_a_namespace_may_be_https_or_none():
    for space in ("", ' xmlns="https://s3.amazonaws.com/doc/2006-03-01/"'):
        assert parse(f"<a{space}/>".encode(), ("a",)).name == "a"


def test_whitespace_between_children_is_no_text():
    root = parse(b"<a>" + (b"<b/>" + b" " * 100) * 10_000 + b"</a>", ("a",))
    root.expect("b")
    assert len(root.children) == 10_000


@given(st.binary(max_size=300))
def test_any_bytes(data):
    assert _code_of(data) in ("", "MalformedXML")


def _code_of(data: bytes) -> str:
    try:
        parse(data, ("a",))
    except Invalid as refused:
        return refused.code
    return ""


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=50))
def test_what_is_written_is_read_again(text):
    escaped = escape(text)
    if escaped != text:
        assert needs_escape(text.encode())
    if carried(text):
        assert ElementTree.fromstring(tag("t", text)).text == (text or None)
        assert parse(document("a", tag("k", text)), ("a",)).value("k") == text


@given(st.text(max_size=30))
def test_everything_can_be_written(text):
    document("a", tag("k", text))
