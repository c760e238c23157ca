"""Credentials that end while a run lasts: Kerberos tickets, AFS tokens, grid proxies.

Without them, folders cannot be read any more, and batch systems refuse commands; none of the messages says why.
Facts from the manuals of MIT and Heimdal klist, OpenAFS tokens, voms-proxy-info and openssl x509.
"""

from __future__ import annotations

import calendar
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from b2luigi.batch.queue import command
from b2luigi.batch.queue.command import Running
from b2luigi.batch.systems.model import Answer, Command

logger = logging.getLogger("luigi-interface.b2luigi")

EVERY, IN_DOUBT = 600.0, 30.0
"""Seconds between two looks, at least: as a matter of course, and after a refusal that a credential may explain."""
PATIENCE, GLANCE = 2.0, 0.02
"""Seconds to wait for an answer about a credential before a submission counts as refused, and between two looks."""
SOON, SHORT = 2 * 3600.0, 3 * 86400.0
"""Seconds before its end from which a credential triggers a warning, and from which it is mentioned at the start."""
WORDS = re.compile(
    r"permission denied|access denied|not authori[sz]ed|unauthori[sz]ed|authenticat|authoriz|credential|kerberos|krb5"
    r"|gss|ticket|token|proxy|certificate|required key not available|key has expired|key has been revoked",
    re.IGNORECASE,
)
"""What programs and systems print when a credential is missing or has expired."""
NONE = float("-inf")
"""Seconds until the end of a credential that is not there at all."""
DAY_AND_TIME = (
    *("%m/%d/%y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S"),
    *("%b %d %H:%M:%S %Y", "%d %b %Y %H:%M:%S"),
)
_KRBTGT = re.compile(r"^(\S.*?\S) +krbtgt/", re.MULTILINE)
_AFS = re.compile(r"tokens for \S+ \[(?:Expires )?([^]]+)\]")
_NOT_AFTER = re.compile(r"notAfter=(.+?) GMT")

Left = Callable[[Answer, float], float | None]
"""Seconds until the end, from an answer and the time of day: 0 or less if it is over, None if that is unknown."""


@dataclass(frozen=True)
class Kind:
    """A kind of credential on this machine."""

    name: str
    advice: str
    questions: Sequence[tuple[Command, Left]]
    """Commands, the next one in case the program is not installed or its answer cannot be read."""


@dataclass
class _Watched:
    kind: Kind
    question: int = 0
    running: Running | None = None
    end: float | None = None
    """Time of day at which it ends, if known."""
    is_missing: bool = False
    is_over: bool = False
    reported: set[str] = field(default_factory=set)

    def has_expired(self, now: float) -> bool:
        """Whether it is over by now, as far as the last answer says; one that is missing may never have been there."""
        return not self.is_missing and (self.is_over or (self.end is not None and self.end <= now))

    def when(self, word: str) -> str:
        """The time at which it ends, after a word; empty if that is unknown."""
        return "" if self.end is None else f"{word} {time.strftime('%Y-%m-%d %H:%M', time.localtime(self.end))}"


class Credentials:
    """Looks at credentials now and then, without blocking, and reports their end before and after it.

    `kinds`: those that may be there. `start` starts a command, `clock` returns seconds and `time_of_day` those since
    1970.
    """

    def __init__(
        self,
        kinds: Iterable[Kind],
        start: Callable[[Command], Running] = command.start,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[], float] = time.time,
    ) -> None:
        self._watched = [_Watched(kind) for kind in kinds]
        self._start, self._clock, self._time_of_day = start, clock, time_of_day
        self._next_look, self._last_look = clock(), float("-inf")
        self._is_suspected = False

    def look(self) -> None:
        """Takes a small step; called often."""
        if not self._watched:
            return
        running = [one for one in self._watched if one.running is not None]
        for one in running:
            self._read(one)
        if running:
            return
        if self._clock() >= self._next_look:
            self._last_look = self._clock()
            self._next_look = self._last_look + EVERY
            for one in self._watched:
                self._ask(one, 0)

    def suspect(self) -> None:
        """Something was refused or cannot be read: looks soon whether a credential is the reason."""
        self._is_suspected = True
        self._next_look = min(self._next_look, self._last_look + IN_DOUBT)
        for one in self._watched:
            if one.is_over:
                self._report_end(one)

    def listen(self, words: str) -> None:
        """Suspects a credential if that is what the words of a failure sound like."""
        if self._watched and WORDS.search(words):
            self.suspect()

    def explain(self, refusal: str) -> bool:
        """Whether a credential that has expired is the likely reason of a refusal. May wait a little to find out."""
        if not self._watched or not WORDS.search(refusal):
            return False
        self.suspect()
        patience = self._clock() + PATIENCE
        self.look()
        while any(one.running for one in self._watched) and self._clock() < patience:
            time.sleep(GLANCE)
            self.look()
        now = self._time_of_day()
        return any(
            (one.end is not None and one.end <= now) or (one.is_over and not one.is_missing) for one in self._watched
        )

    def heard(self, start: Callable[[Command], Running]) -> Callable[[Command], Running]:
        """Like `start`; listens to the answers of commands that fail."""
        return lambda sent: _Overheard(start(sent), self.listen)

    def stop(self) -> None:
        """Ends what is running."""
        for one in self._watched:
            if isinstance(one.running, command.Process):
                one.running.stop()
            one.running = None

    def _ask(self, one: _Watched, question: int) -> None:
        one.question, one.running = question, self._start(one.kind.questions[question][0])

    def _read(self, one: _Watched) -> None:
        answer = one.running.poll() if one.running is not None else None
        if answer is None:
            return
        one.running = None
        left = one.kind.questions[one.question][1](answer, self._time_of_day()) if answer.is_complete else None
        if left is None and one.question + 1 < len(one.kind.questions):
            self._ask(one, one.question + 1)
        elif left is not None:
            self._report(one, left)

    def _report(self, one: _Watched, left: float) -> None:
        end = self._time_of_day() + left if left not in (NONE, 0.0) else None
        is_another = end is not None and (one.end is None or abs(end - one.end) > 60)
        one.is_missing, one.is_over = left == NONE, left <= 0
        if is_another:
            one.end = end
        if one.is_over:
            self._report_end(one)
            return
        if one.reported & {"over", "reason"}:
            logger.warning("There is a valid %s again%s.", one.kind.name, one.when(", until"))
        one.reported -= {"over", "reason", *({"soon", "later"} if is_another else ())}
        self._is_suspected = self._is_suspected and any(other.is_over for other in self._watched)
        name, advice = one.kind.name, one.kind.advice
        if left <= SOON:
            text = f"The {name} expires in {left / 60:.0f} min{one.when(', at')}: {advice}."
            self._once(one, "soon", logging.WARNING, text)
        elif left <= SHORT:
            text = f"The {name} expires in {left / 3600:.0f} h{one.when(', at')}. If the run takes longer, {advice}."
            self._once(one, "later", logging.INFO, text)

    def _report_end(self, one: _Watched) -> None:
        name, advice = one.kind.name, one.kind.advice
        if not one.is_missing:
            self._once(one, "over", logging.WARNING, f"The {name} has expired{one.when(' at')}: {advice}.")
        if self._is_suspected:  # one that is missing may not be needed here
            state = "there is none" if one.is_missing else f"it has expired{one.when(' at')}"
            text = f"Refused commands or unreadable files may need a valid {name}, and {state}: {advice}."
            self._once(one, "reason", logging.WARNING, text)

    def _once(self, one: _Watched, what: str, level: int, text: str) -> None:
        if what not in one.reported:
            one.reported.add(what)
            logger.log(level, "%s", text)


class _Overheard:
    """A command whose failure is listened to."""

    def __init__(self, running: Running, listen: Callable[[str], None]) -> None:
        self._running, self._listen = running, listen
        self._is_heard = False

    def poll(self) -> Answer | None:
        answer = self._running.poll()
        if answer is not None and not self._is_heard:
            self._is_heard = True
            if answer.rc != 0:
                self._listen(answer.words)
        return answer


def kinds(
    environment: Mapping[str, str] | None = None, tmp: Path = Path("/tmp"), afs: Path = Path("/afs")
) -> list[Kind]:
    """The kinds of credentials that this machine may have: a variable or a file of each of them is there."""
    variables = os.environ if environment is None else environment
    uid = os.getuid()
    proxy = variables.get("X509_USER_PROXY") or str(tmp / f"x509up_u{uid}")
    found = {
        "kerberos": "KRB5CCNAME" in variables or (tmp / f"krb5cc_{uid}").exists(),
        "afs": afs.is_dir(),
        "proxy": "X509_USER_PROXY" in variables or os.path.exists(proxy),
    }
    known = {
        "kerberos": Kind(
            "Kerberos ticket",
            "renew it with `kinit`",
            [(_plain("klist"), kerberos_left), (_plain("klist", "-s"), _is_valid)],
        ),
        "afs": Kind("AFS token", "renew it with `kinit` and `aklog`", [(_plain("tokens"), afs_left)]),
        "proxy": Kind(
            "grid proxy",
            "renew it, for example with `voms-proxy-init`",
            [
                (_plain("voms-proxy-info", "-file", proxy, "-timeleft"), voms_left),
                (_plain("openssl", "x509", "-enddate", "-noout", "-in", proxy), openssl_left),
            ],
        ),
    }
    return [known[name] for name, is_there in found.items() if is_there]


def kerberos_left(answer: Answer, now: float) -> float | None:
    """From `klist`: the ticket for tickets (krbtgt); those for services end with it."""
    if answer.rc != 0:
        return None if _is_not_installed(answer) else NONE
    ends = []
    for dates in _KRBTGT.findall(answer.stdout):
        if "expired" in dates.lower():
            ends.append(0.0)
            continue
        moment = _local(re.split(r"\s{2,}", dates)[-1])
        if moment is not None:
            ends.append(moment - now)
    return max(ends, default=None)


def afs_left(answer: Answer, now: float) -> float | None:
    """From `tokens`, which prints no year: the token that ends first."""
    if answer.rc != 0:
        return None
    ends = []
    for words in _AFS.findall(answer.stdout):
        ends.append(0.0 if "Expired" in words else _next_left(words, now))
    known = [end for end in ends if end is not None]
    return min(known) if known else None if ends else NONE


def voms_left(answer: Answer, now: float) -> float | None:
    """From `voms-proxy-info -timeleft`: seconds."""
    last = answer.stdout.split()[-1:]
    return float(last[0]) if last and last[0].isdecimal() else None


def openssl_left(answer: Answer, now: float) -> float | None:
    """From `openssl x509 -enddate`: the first certificate of the file, which is that of the proxy."""
    found = _NOT_AFTER.search(answer.stdout)
    if found is None:
        return None if _is_not_installed(answer) else NONE
    try:
        return calendar.timegm(time.strptime(found[1], "%b %d %H:%M:%S %Y")) - now
    except ValueError:
        return None


def _is_valid(answer: Answer, now: float) -> float | None:
    """From `klist -s`, which only says whether there is a valid ticket."""
    return 0.0 if answer.rc == 1 else None


def _next_left(words: str, now: float) -> float | None:
    """Seconds to a day and time without a year: the one closest to now."""
    year = time.localtime(now).tm_year
    moments = [_local(f"{words}:00 {number}") for number in (year - 1, year, year + 1)]
    return min((moment - now for moment in moments if moment is not None), key=abs, default=None)


def _local(words: str) -> float | None:
    for form in DAY_AND_TIME:
        try:
            return time.mktime(time.strptime(" ".join(words.split()), form))
        except (ValueError, OverflowError):
            continue
    return None


def _plain(*argv: str) -> Command:
    return Command(argv, env={"LC_ALL": "C"})


def _is_not_installed(answer: Answer) -> bool:
    return answer.rc in (command.NOT_FOUND, command.NOT_EXECUTABLE)
