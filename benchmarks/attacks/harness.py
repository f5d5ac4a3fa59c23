"""Children that are attacked, what went wrong with them, and the table of all attacks.

The libraries are imported once, in this process, which then only forks: a child runs the command
line (or a function) in its own session, with its own limits and output files. It takes no time to
start, so that hundreds of runs are possible, and can be killed at any moment.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

__all__ = [
    "ATTACKS",
    "Attack",
    "Child",
    "Lab",
    "Outcome",
    "attack",
    "control_characters",
    "first_line",
    "is_refused",
    "problem_of",
    "survey",
]

GIB = 2**30
NOBODY = 65534
"""Number of the user without rights, as whom folders that may not be written are tried."""
_TRACEBACK = "Traceback (most recent call last)"
_RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but for tab and newline."""


# ---- children ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How a child ended.

    Parameters
    ----------
    code : int or None
        Exit code; negative for the signal that ended it, None if it ran out of time.
    out, err : str
        What it wrote to standard output and to standard error.
    seconds : float
        How long it took.
    peak_gib : float
        Memory that it took at most, above what a child has at its start.
    value : object
        What the function returned, if it was one.
    """

    code: int | None
    out: str
    err: str
    seconds: float
    peak_gib: float
    value: Any = None

    @property
    def text(self) -> str:
        """Both outputs."""
        return f"{self.out}\n{self.err}"

    @property
    def notes(self) -> list[str]:
        """Lines of the error output that say something of the results."""
        return [line for line in self.err.splitlines() if line.startswith(("note", "failed"))]


class Child:
    """A process that runs the command line or a function, in a session of its own.

    Parameters
    ----------
    work : sequence of str or callable
        Arguments of ``fractoseg``, or a function; what it returns must be JSON.
    folder : Path
        Folder for its outputs, and in which it runs.
    memory_gib : float or None
        Address space that it may have above that of this process.
    before : callable, optional
        Function that the child calls before anything else.
    """

    def __init__(
        self,
        work: Sequence[str | bytes | Path] | Callable[[], Any],
        folder: Path,
        *,
        memory_gib: float | None = 6.0,
        before: Callable[[], object] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"log-{time.monotonic_ns()}"
        self._log.mkdir()
        self._log.chmod(0o777)
        self.began = time.monotonic()
        self._ended: tuple[int, float, float] | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _be_child(work, folder, self._log, memory_gib, before)

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        if self._ended is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._note_end(status, usage)
        return self._ended is None

    def stop(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the child and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def send(self, number: int) -> None:
        """Send a signal to the child alone."""
        if self.is_running():
            os.kill(self.pid, number)

    def wait(self, limit_s: float = 60.0, most_gib: float | None = None) -> Outcome:
        """Wait for its end, kill it if it takes longer or more memory, and return how it ended."""
        end, in_time = self.began + limit_s, True
        while self.is_running():
            if time.monotonic() > end or self._takes_more_than(most_gib):
                in_time = False
                self.stop()
                _, status, usage = os.wait4(self.pid, 0)
                self._note_end(status, usage)
                break
            time.sleep(0.003)
        self.stop()  # what it left behind
        assert self._ended is not None
        code, seconds, peak_gib = self._ended
        texts = [_read(self._log / name) for name in ("out", "err", "value")]
        shutil.rmtree(self._log, ignore_errors=True)
        value = json.loads(texts[2]) if texts[2] else None
        return Outcome(code if in_time else None, *texts[:2], seconds, peak_gib, value)

    def _takes_more_than(self, most_gib: float | None) -> bool:
        if most_gib is None:
            return False
        try:
            taken = psutil.Process(self.pid).memory_info().rss
        except psutil.NoSuchProcess:
            return False
        return taken - psutil.Process().memory_info().rss > most_gib * GIB

    def _note_end(self, status: int, usage: Any) -> None:
        peak_gib = (usage.ru_maxrss * 1024 - psutil.Process().memory_info().rss) / GIB
        seconds = time.monotonic() - self.began
        self._ended = (os.waitstatus_to_exitcode(status), seconds, max(peak_gib, 0.0))


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""


def _be_child(
    work: Sequence[str | bytes | Path] | Callable[[], Any],
    folder: Path,
    log: Path,
    memory_gib: float | None,
    before: Callable[[], object] | None,
) -> None:
    """Run the work and end this process; never returns."""
    code = 70
    try:
        os.setsid()
        for number, name in ((1, "out"), (2, "err")):
            file = os.open(log / name, os.O_WRONLY | os.O_CREAT, 0o666)
            os.dup2(file, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        # As in a locale such as en_US.UTF-8.
        sys.stdout = open(1, "w", encoding="utf-8", errors="strict", closefd=False)  # noqa: SIM115
        sys.stderr = open(  # noqa: SIM115
            2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1
        )
        value = os.open(log / "value", os.O_WRONLY | os.O_CREAT, 0o666)
        os.chdir(folder)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if memory_gib is not None:
            most = psutil.Process().memory_info().vms + int(memory_gib * GIB)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
        if before is not None:
            before()
        code = _work(work, value)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - a forked child must never return into the caller
        traceback.print_exc()
    finally:
        os._exit(code)


def _work(work: Sequence[str | bytes | Path] | Callable[[], Any], value: int) -> int:
    """Run the work as an interpreter would, and return the exit code."""
    try:
        if callable(work):
            found = work()
            os.write(value, json.dumps(found).encode())
            return 0
        from napari_fractoseg.cli import main

        sys.argv = ["fractoseg", *map(os.fsdecode, work)]
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:  # an interpreter without a handler ends itself by the signal
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
        return 1
    return 0


# ---- what went wrong --------------------------------------------------------------------


def problem_of(outcome: Outcome, codes: Iterable[int] = (0, 1, 2)) -> str | None:
    """Return what no run may do, whatever it was given; None if it did not.

    Parameters
    ----------
    outcome : Outcome
        How the child ended.
    codes : iterable of int
        Exit codes that are allowed.
    """
    if outcome.code is None:
        return f"still running after {outcome.seconds:.0f} s"
    if _TRACEBACK in outcome.text:
        return f"traceback: {_raised(outcome.text)}"
    if outcome.code not in codes:
        return f"exit code {outcome.code}: {first_line(outcome.err)}"
    return None


def _raised(text: str) -> str:
    lines = [
        x for x in text.splitlines() if re.match(r"^[\w.]*(Error|Exception|Interrupt|Exit)", x)
    ]
    return first_line(lines[-1] if lines else text.strip().splitlines()[-1])


def is_refused(outcome: Outcome) -> bool:
    """Whether a run was refused by a line of ours."""
    return outcome.code == 2 and outcome.err.strip().startswith("error:")


def first_line(text: str, most: int = 110) -> str:
    """Return the first line of a text, shortened."""
    lines = text.strip().splitlines() or [""]
    return lines[0] if len(lines[0]) <= most else f"{lines[0][: most - 3]}..."


def control_characters(text: str) -> str | None:
    """Return the first raw control character of a text with what is around it, None if none."""
    found = _RAW.search(text)
    if found is None:
        return None
    return f"raw control character: {text[max(found.start() - 12, 0) : found.end() + 12]!r}"


def _is_ours(error: BaseException) -> bool:
    from napari_fractoseg.errors import FractosegError

    return isinstance(error, FractosegError)


def _where(error: BaseException) -> str:
    """Return the last line of this package that an error went through."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "napari_fractoseg" in f.filename
    ]
    if not frames:
        return ""
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})"


class _TooLongError(BaseException):
    """An item of a survey took too long."""


def survey(
    lab: Lab,
    row: str,
    items: Sequence[Any],
    function: Callable[[Any], object],
    *,
    limit_s: float = 10.0,
    memory_gib: float = 3.0,
    name: Callable[[Any], str] = str,
) -> None:
    """Call a function with each of many items, in a child, and note each raw exception.

    Parameters
    ----------
    lab : Lab
        Where it is noted.
    row : str
        Row of the table.
    items : sequence
        What the function is called with.
    function : callable
        Function of the library; errors of ours are what it may raise. If it returns a text, that
        is the problem.
    limit_s, memory_gib : float
        What an item may take.
    name : callable
        Function that says what an item is.
    """
    at = 0
    while at < len(items):
        done = lab.fresh("survey") / "done.txt"
        child = Child(
            lambda start=at, done=done: _survey(items, start, function, done, limit_s),
            done.parent,
            memory_gib=memory_gib,
        )
        outcome = _until_idle(child, done, 3 * limit_s)
        lines = done.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=at):
            problem = json.loads(line)
            lab.note(row, name(items[number]), problem)
        at += len(lines)
        if at < len(items) and (outcome.code != 0 or not lines):  # the one it died of
            ended = "hangs" if outcome.code is None else f"died with code {outcome.code}"
            lab.note(row, name(items[at]), f"{ended} {first_line(outcome.err)}")
            at += 1
        shutil.rmtree(done.parent, ignore_errors=True)


def _until_idle(child: Child, done: Path, limit_s: float) -> Outcome:
    """Wait as long as another item is finished within the limit."""
    size, since = -1, time.monotonic()
    while child.is_running() and time.monotonic() - since < limit_s:
        now = done.stat().st_size if done.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
        time.sleep(0.05)
    return child.wait(time.monotonic() - child.began + 0.1)


def _survey(
    items: Sequence[Any], start: int, function: Callable[[Any], object], done: Path, limit_s: float
) -> None:
    def stop(_number: int, _frame: object) -> None:
        raise _TooLongError

    signal.signal(signal.SIGALRM, stop)
    with done.open("w", encoding="utf-8") as file:
        for item in items[start:]:
            problem: object = None
            signal.setitimer(signal.ITIMER_REAL, limit_s)
            try:
                problem = function(item)
            except _TooLongError:
                problem = f"more than {limit_s:.0f} s"
            except (Exception, SystemExit) as error:  # noqa: BLE001 - to find those that are raw
                if not _is_ours(error):
                    problem = first_line(f"{type(error).__name__}: {error}", 90) + _where(error)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            file.write(f"{json.dumps(problem if isinstance(problem, str) else None)}\n")
            file.flush()


# ---- the table --------------------------------------------------------------------------


@dataclass
class _Row:
    tries: int = 0
    failures: int = 0
    example: str = ""
    kinds: dict[str, int] = field(default_factory=dict)
    remark: str = ""


class Lab:
    """A temporary folder with made-up inputs, random numbers, and the table of results.

    Parameters
    ----------
    root : Path
        Empty folder.
    seed : int
        Seed of all that is random.
    scale : float
        Factor on the number of tries.
    verbose : bool
        Whether each failure is printed at once.
    """

    def __init__(self, root: Path, seed: int, scale: float, verbose: bool = False) -> None:
        self.root, self.scale, self.verbose = root, scale, verbose
        self.rng = np.random.default_rng(seed)
        self.rows: dict[str, _Row] = {}
        self._number = 0
        self._once: dict[str, Any] = {}
        root.chmod(0o755)

    def count(self, normal: int, least: int = 1) -> int:
        """Return how often something is tried, of how often it is normally."""
        return max(least, round(normal * self.scale))

    def some(self, choices: Sequence[Any], least: int = 2) -> list[Any]:
        """Return all of a list, or some of them where few tries are wanted."""
        if self.scale >= 1:
            return list(choices)
        wanted = min(len(choices), max(least, round(len(choices) * self.scale)))
        return [choices[i] for i in sorted(self.rng.choice(len(choices), wanted, replace=False))]

    def fresh(self, name: str) -> Path:
        """Make a new folder."""
        self._number += 1
        folder = self.root / f"{self._number:05d}-{name}"
        folder.mkdir()
        return folder

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return a folder that a function fills the first time, in a child."""
        if name not in self._once:
            folder = self.fresh(name)
            outcome = self.run(lambda: bool(make(folder)), memory_gib=None)
            if outcome.code != 0:
                raise SystemExit(f"{name} cannot be made:\n{outcome.err}")
            self._once[name] = folder
        return Path(self._once[name])

    def start(self, work: Any, folder: Path | None = None, **options: Any) -> Child:
        """Start a child; see `Child`."""
        return Child(work, folder or self.fresh("run"), **options)

    def run(
        self,
        work: Any,
        folder: Path | None = None,
        *,
        limit_s: float = 60.0,
        most_gib: float | None = None,
        **options: Any,
    ) -> Outcome:
        """Run a child to its end; see `Child`."""
        return self.start(work, folder, **options).wait(limit_s, most_gib)

    def note(self, row: str, what: str, problem: str | None) -> None:
        """Count a try, and the problem if there was one."""
        entry = self.rows.setdefault(row, _Row())
        entry.tries += 1
        if problem is None:
            return
        entry.failures += 1
        entry.example = entry.example or f"{what}: {problem}"
        kind = problem.split(":")[0][:60]
        entry.kinds[kind] = entry.kinds.get(kind, 0) + 1
        if self.verbose:
            printable = f"{row}: {what}: {problem}".encode("ascii", "backslashreplace").decode()
            print(f"  ! {printable}", flush=True)

    def remark(self, row: str, text: str) -> None:
        """Add a remark to a row, such as why it was not tried."""
        self.rows.setdefault(row, _Row()).remark = text

    def table(self) -> str:
        """Return the table in Markdown."""
        lines = [
            "| attack | tries | failures | what failed (first example; kinds) |",
            "|---|--:|--:|---|",
        ]
        for name, row in sorted(self.rows.items(), key=lambda item: _order(item[0])):
            kinds = sorted(row.kinds.items(), key=lambda item: -item[1])
            more = "; ".join(f"{n} x {kind}" for kind, n in kinds[:4]) if len(kinds) > 1 else ""
            text = " -- ".join(filter(None, (row.example, more, row.remark)))
            text = text.replace(f"{self.root}/", "").replace("|", "\\|")
            text = re.sub(r"\d{5}-", "", text).encode("ascii", "backslashreplace").decode()
            lines.append(f"| {name} | {row.tries} | {row.failures} | {' '.join(text.split())} |")
        return "\n".join(lines)


def _order(name: str) -> tuple[int, str]:
    return int(re.match(r"\d+", name).group()), name  # type: ignore[union-attr]


@dataclass(frozen=True)
class Attack:
    """An attack: its number in the list, its name, and the function that tries it."""

    number: int
    name: str
    function: Callable[[Lab], None]


ATTACKS: list[Attack] = []


def attack(number: int, name: str) -> Callable[[Callable[[Lab], None]], Callable[[Lab], None]]:
    """Add a function to the list of attacks."""

    def add(function: Callable[[Lab], None]) -> Callable[[Lab], None]:
        ATTACKS.append(Attack(number, name, function))
        return function

    return add


@contextmanager
def small_disk(megabytes: float) -> Iterator[Path | None]:
    """Mount a small file system in memory; gives None where that is not allowed."""
    import subprocess
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="attack-disk-"))
    size = f"size={int(megabytes * 1024)}k"
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "none", str(folder)], check=False, capture_output=True
    ).returncode
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)
        folder.rmdir()


def as_nobody() -> None:
    """Give up all rights; the owner of everything may write into any folder."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


__all__ += ["GIB", "as_nobody", "small_disk"]
_ = dataclasses
