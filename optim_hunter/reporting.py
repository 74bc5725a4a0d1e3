"""pytest wiring of the evidence: ledger, page, progress and summary, in the one process that writes them."""

from __future__ import annotations

import errno
import shlex
import sys
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from optim_hunter.cases import Case
from optim_hunter.claim import UserError
from optim_hunter.items import SEED, case_of
from optim_hunter.options import option
from optim_hunter.outputs import RunFolder, open_run_folder, start_html

NO_PAGE = "{} cannot be written ({}): make room for it, then optim-hunter report {}"
FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG

RESUMED = "goes on with the unfinished run in {}: {} verdicts and {} numbers of seeds are there"


class ReportingPlugin:
    """The evidence of one run; under pytest-xdist that of all workers, written by the controller."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.session: Any = None
        self.folder: Any = None
        self.ledger: Any = None
        self.progress: Any = None
        self._tokens: dict[str, int] = {}

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Remember the session: with pytest-xdist its controller collects nothing itself."""
        self.session = session

    def begin(self, plan: Mapping[str, Any]) -> RunFolder:
        """Open folder, ledger and page of a run before its first item.

        Raises:
            pytest.UsageError: the evidence cannot be written.
        """
        from optim_hunter.evidence.ledger import Ledger
        from optim_hunter.journal import Tally

        arguments = _without_out([str(one) for one in self.config.invocation_params.args])
        try:
            folder = open_run_folder(self.config.rootpath / "reports", option(self.config, "out"), plan, arguments)
            tally = Tally(folder.measured)
            command = shlex.join(["pytest", *map(str, self.config.invocation_params.args)])
            ledger = Ledger(folder.path, command, plan["verdicts"], tally.counts)
            ledger.write()
        except UserError as error:
            raise pytest.UsageError(str(error)) from None
        self.folder, self.ledger = folder, ledger
        if folder.resumed:
            self.print(RESUMED.format(folder.path, len(ledger.content["claims"]), sum(tally.counts().values())))
        if not self.config.getoption("htmlpath", None):
            start_html(self.config, self.session, folder.path / "evidence.html")
        self._open_progress(plan["seed_items"])
        return folder

    def _open_progress(self, seeds: int) -> None:
        if not seeds or self.config.get_verbosity() != 0:
            return
        from optim_hunter.progress import LiveLine, PlainLines

        alone = not self.config.pluginmanager.hasplugin("dsession")
        if alone and sys.stderr.isatty() and sys.stdout.isatty():
            self.progress = LiveLine(seeds)
            reporter: Any = self.config.pluginmanager.get_plugin("terminalreporter")
            reporter.showfspath = False
        else:
            self.progress = PlainLines(seeds, self.print)

    # items

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Say what comes: here, since the output of an item's own phases is captured."""
        case, _ = case_of(item)
        if self.progress is not None and case is not None:
            self.progress.show(_subject(case))
        return (yield)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Write each verdict as it comes, and tell how far the seeds are."""
        if report.when != "teardown" or self.ledger is None:
            return
        by = getattr(report, "worker_id", "")
        if getattr(report, "claim_entry", None) is not None:
            try:
                self.ledger.add(report.claim_entry, report.claim_work, report.claim_problems, by)
            except UserError as error:
                pytest.exit(str(error))
        if self.progress is not None and is_seed(report):
            self._tokens[by] = report.claim_tokens
            self.progress.advance(report.claim_subject, sum(self._tokens.values()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """Print nothing for a passed seed while the live line tells of it."""
        if self.progress is None or not self.progress.replaces_dots or (report.passed and report.when != "call"):
            return None
        if report.passed and is_seed(report):
            return "passed", "", ""
        self.progress.hide()
        return None

    # reports

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Iterator[None]:
        """Complete the ledger before the page is made from it, then forbid the page all scripts but its own.

        Around pytest-html alone, so that pytest prints its summary even where no page can be written.
        """
        if self.progress is not None:
            self.progress.hide()
        if self.ledger is None:
            yield
            return
        ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        complete = not self.ledger.unfinished or (ended and not session.shouldfail and not session.shouldstop)
        if self._finish_ledger(complete) and complete:
            self.folder.finish()
        else:
            self.folder.leave()
        page = Path(self.config.getoption("htmlpath", None) or "")
        try:
            yield
            if page.is_file():
                from optim_hunter.evidence.report import secure_file

                secure_file(page)
        except OSError as error:
            if error.errno not in FULL:
                raise
            page.unlink(missing_ok=True)  # half of it, and without its policy
            self.print(NO_PAGE.format(page, error.strerror, self.ledger.folder))

    def _finish_ledger(self, complete: bool) -> bool:
        """Whether the ledger could be written for the last time."""
        try:
            self.ledger.finish(complete)
        except UserError as error:
            self.print(str(error))
            return False
        return True

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        """Put the claims at the top of the page."""
        if self.ledger is not None:
            from optim_hunter.evidence.report import install

            install(prefix, self.ledger.content)

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: Any, cells: list[str]) -> None:
        """Escape test ids, which hold model names; pytest-html inserts them as they are."""
        if self.ledger is not None:
            from optim_hunter.evidence.report import fill_row

            fill_row(cells, report.nodeid, measured=report.passed and is_seed(report))

    def pytest_terminal_summary(self) -> None:
        """One line a verdict, and where the evidence lies."""
        if self.ledger is None:
            return
        from optim_hunter.evidence.lines import summary_lines

        for line in summary_lines(self.ledger.content):
            self.print(line)
        if self.ledger.content["run"]["finished"] is None:
            self.print("unfinished: the same command goes on with this run")
        self.print(f"evidence: {self.ledger.folder}")

    def print(self, line: str) -> None:
        """A line on the terminal, where pytest has one."""
        reporter: Any = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(line)


def is_seed(report: Any) -> bool:
    """Whether a report is of a seed that was measured."""
    return any(name == SEED for name, _ in report.user_properties)


def annotate(report: Any, case: Case, run: Any, entry: dict[str, Any] | None) -> None:
    """Let a report carry what the ledger and the progress need: it may go to another process."""
    report.claim_subject = _subject(case)
    report.claim_tokens = sum(counts.get("tokens_run", 0) for counts in run.work.values())
    if entry is not None:
        report.claim_entry, report.claim_work, report.claim_problems = entry, run.work, run.store_problems()


def _subject(case: Case) -> str:
    return f"{case.claim.id} on {case.model}"


def _without_out(arguments: list[str]) -> list[str]:
    """Arguments of pytest but for the name of the folder."""
    follows = [False, *(one == "--claims-out" for one in arguments)]
    named = [one == "--claims-out" or one.startswith("--claims-out=") for one in arguments]
    return [
        one for one, is_value, is_name in zip(arguments, follows, named, strict=False) if not is_value and not is_name
    ]
