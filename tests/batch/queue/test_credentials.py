"""Credentials that end while a run lasts: reported before and after, and named when they explain a refusal."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

import pytest

from b2luigi.batch.messages.outages import Outages
from b2luigi.batch.queue.command import NOT_FOUND, Answered, Running, start
from b2luigi.batch.queue.credentials import (
    EVERY,
    IN_DOUBT,
    NONE,
    Credentials,
    Kind,
    afs_left,
    kerberos_left,
    kinds,
    openssl_left,
    voms_left,
)
from b2luigi.batch.systems.model import Answer, Command
from tests.waiting import until

NOW = time.mktime((2026, 11, 25, 18, 0, 0, 0, 0, -1))
HOUR = 3600.0
MIT = """Ticket cache: FILE:/tmp/krb5cc_0
Default principal: user@CERN.CH

Valid starting     Expires            Service principal
11/25/26 09:00:00  11/25/26 19:00:00  krbtgt/CERN.CH@CERN.CH
\trenew until 11/30/26 09:00:00
11/25/26 09:00:00  11/25/26 19:00:00  afs/cern.ch@CERN.CH
"""
HEIMDAL = """Credentials cache: FILE:/tmp/krb5cc_0
        Principal: user@DESY.DE

  Issued                Expires               Principal
Nov 25 09:00:00 2026  {}  krbtgt/DESY.DE@DESY.DE
"""
TOKENS = """
Tokens held by the Cache Manager:

User's (AFS ID 1234) rxkad tokens for cern.ch [{}]
   --End of list--
"""


def answer(stdout: str, rc: int = 0) -> Answer:
    return Answer(rc, stdout, "")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (MIT, HOUR),
        (MIT.replace("11/25/26 19:00:00", "11/25/2026 17:00:00"), -HOUR),
        (HEIMDAL.format("Nov 26 18:00:00 2026"), 24 * HOUR),
        (HEIMDAL.format(">>>Expired<<<       "), 0),
        ("Ticket cache: KCM:0\n\nGültig ab  Läuft ab\n25. Nov  26. Nov  krbtgt/CERN.CH@CERN.CH\n", None),
    ],
)
def test_klist(text: str, left: float | None) -> None:
    """Of MIT and of Heimdal: the end of the ticket for tickets; what cannot be read is unknown, and not over."""
    assert kerberos_left(answer(text), NOW) == left


def test_klist_without_tickets() -> None:
    """No cache is no ticket; no klist says nothing."""
    assert kerberos_left(answer("", 1), NOW) == NONE
    assert kerberos_left(answer("", NOT_FOUND), NOW) is None


@pytest.mark.parametrize(
    ("words", "left"),
    [("Expires Nov 25 20:00", 2 * HOUR), ("Expires Nov 25 17:00", -HOUR), (">> Expired <<", 0), ("who knows", None)],
)
def test_tokens(words: str, left: float | None) -> None:
    """The time has no year: that of the date closest to now."""
    assert afs_left(answer(TOKENS.format(words)), NOW) == left
    assert afs_left(answer("Tokens held by the Cache Manager:\n\n   --End of list--\n"), NOW) == NONE


def test_tokens_around_new_year() -> None:
    """A token from December ends in January."""
    evening = time.mktime((2026, 12, 31, 23, 0, 0, 0, 0, -1))
    assert afs_left(answer(TOKENS.format("Expires Jan  1 01:00")), evening) == 2 * HOUR


def test_proxies() -> None:
    """Seconds, or the end of the first certificate in universal time."""
    assert voms_left(answer("3600\n"), NOW) == HOUR
    assert voms_left(answer("0\n"), NOW) == 0
    assert voms_left(answer("", 1), NOW) is None
    now = 1_800_000_000.0
    end = time.strftime("%b %d %H:%M:%S %Y", time.gmtime(now + HOUR))
    assert openssl_left(answer(f"notAfter={end} GMT\n"), now) == HOUR
    assert openssl_left(answer("", 1), now) == NONE


def test_nothing_is_looked_at_without_a_sign_of_it(tmp_path: Path) -> None:
    """Neither a variable nor a file: no kind; each of these names one."""
    nothing = tmp_path / "nothing"
    assert kinds({}, tmp_path, nothing) == []
    assert [kind.name for kind in kinds({"KRB5CCNAME": "KCM:"}, tmp_path, nothing)] == ["Kerberos ticket"]
    assert [kind.name for kind in kinds({"X509_USER_PROXY": "/p"}, tmp_path, nothing)] == ["grid proxy"]
    (tmp_path / f"krb5cc_{os.getuid()}").touch()
    (tmp_path / f"x509up_u{os.getuid()}").touch()
    names = ["Kerberos ticket", "AFS token", "grid proxy"]
    assert [kind.name for kind in kinds({}, tmp_path, tmp_path)] == names


class Site:
    """A ticket whose remaining time the test sets, and clocks that it moves."""

    def __init__(self) -> None:
        self.now, self.end = 0.0, 10 * HOUR
        self.asked = 0
        self.missing = False
        kind = Kind("Kerberos ticket", "renew it", [(Command(("klist",)), lambda answer, now: self.left)])
        self.credentials = Credentials([kind], self.start, lambda: self.now, lambda: NOW + self.now)
        self.look()

    @property
    def left(self) -> float:
        return NONE if self.missing else self.end - self.now

    def start(self, command: Command) -> Running:
        self.asked += 1
        return Answered(answer(""))

    def look(self, after: float = 0.0) -> None:
        self.now += after
        for _ in range(3):
            self.credentials.look()


def test_it_is_looked_at_seldom() -> None:
    """At the start, and then every ten minutes, however often the loop turns."""
    site = Site()
    assert site.asked == 1
    for _ in range(100):
        site.look(EVERY / 50)
    assert site.asked == 3


def test_the_end_is_reported_before_and_after_it(caplog: pytest.LogCaptureFixture) -> None:
    """Once at the start, once when it is close, once when it has come, and once when there is a new one."""
    caplog.set_level("INFO")
    site = Site()
    for _ in range(70):
        site.look(EVERY)
    site.end = site.now + 20 * HOUR
    site.look(EVERY)
    found = [text.split(" at ")[0] for text in caplog.messages if "Kerberos" in text]
    assert found[:3] == [
        "The Kerberos ticket expires in 10 h,",
        "The Kerberos ticket expires in 120 min,",
        "The Kerberos ticket has expired",
    ]
    assert found[3].startswith("There is a valid Kerberos ticket again, until")
    assert found[4:] == ["The Kerberos ticket expires in 20 h,"]
    assert "has expired at 2026-11-26 04:00: renew it." in caplog.text


def test_a_refusal_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    """A command that fails with words of authentication: it is looked at soon, and the cause is named once."""
    site = Site()
    site.end = 0.5
    site.look(1.0)
    assert site.asked == 1
    submit = site.credentials.heard(lambda sent: Answered(Answer(1, "", "AUTHENTICATE:1003: Failed to authenticate")))
    submitted = submit(Command(("condor_submit",)))
    assert [submitted.poll(), submitted.poll()] == [Answer(1, "", "AUTHENTICATE:1003: Failed to authenticate")] * 2
    for _ in range(10):
        site.look(IN_DOUBT)
        submit(Command(("condor_submit",))).poll()
    assert caplog.text.count("may need a valid Kerberos ticket, and it has expired at") == 1
    site.end = site.now + 10 * HOUR
    site.look(IN_DOUBT)
    assert "There is a valid Kerberos ticket again" in caplog.text


def test_a_refusal_that_passes() -> None:
    """Only one in words of authentication, and only with a credential that has expired; one that is missing is none."""
    site = Site()
    denied = "Batch job submission failed: Invalid authentication credential"
    assert not site.credentials.explain(denied)
    site.end = 1.0
    site.look(IN_DOUBT)
    assert site.credentials.explain(denied)
    assert not site.credentials.explain("nosuch: No such queue")
    missing = Site()
    missing.missing = True
    missing.look(IN_DOUBT)
    assert not missing.credentials.explain(denied)
    valid = Site()
    assert not valid.credentials.explain("nosuch: No such queue")
    assert valid.asked == 1


def _answer_with(given: Answer, sent: Command) -> Running:
    return Answered(given)


def test_other_failures_are_not_explained(caplog: pytest.LogCaptureFixture) -> None:
    """Words that have nothing to do with it, or a command that works."""
    site = Site()
    site.missing = True
    for given in (Answer(1, "", "Cannot connect to LSF"), Answer(0, "Job <1> is submitted with your ticket", "")):
        site.credentials.heard(functools.partial(_answer_with, given))(Command(("bsub",))).poll()
    site.look(IN_DOUBT)
    site.look(EVERY)
    assert "Kerberos" not in caplog.text


def test_a_folder_that_cannot_be_read_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    """Tasks wait for their folders: a ticket that is missing is named."""
    site = Site()
    site.missing = True
    outages = Outages(lambda: site.now, site.credentials.suspect)
    site.look(EVERY)
    assert "Kerberos" not in caplog.text
    outages.wait("Task(n=1)", "Folders of LSF jobs can be read", "its folder cannot be read for now: /afs/x")
    site.look(IN_DOUBT)
    assert "may need a valid Kerberos ticket, and there is none" in caplog.text


def test_real_programs(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """klist cannot be read, and only says that there is none valid; without VOMS, openssl reads the proxy."""
    for name, text in (
        ("klist", '[ "$1" != -s ] || exit 1; echo "1.1. 2.2.  krbtgt/X@X"'),
        ("openssl", "echo notAfter=Nov 25 10:00:00 2020 GMT"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = kinds({"KRB5CCNAME": "x", "X509_USER_PROXY": "/p"}, tmp_path, tmp_path / "nothing")
    credentials = Credentials(found, start)

    def look() -> bool:
        credentials.look()
        return "grid proxy has expired at 2020-11-25" in caplog.text and "Kerberos ticket has expired: " in caplog.text

    until(look, "both are reported")
    credentials.stop()
