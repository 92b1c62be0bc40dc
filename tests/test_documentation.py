"""The documentation is executed: its Python runs, its commands parse, and what it names exists."""

from __future__ import annotations

import contextlib
import doctest
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.main import get_command

import heatlift as hl
from heatlift.augmentation import OPERATIONS
from heatlift.cli import app, run
from heatlift.controls import CONTROLS
from heatlift.data import EXTENSIONS
from heatlift.registry import METHODS, TJOA_2022
from heatlift.run.tables import SCHEMAS
from pictures import class_folders

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
BY_NAME = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}

FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<content>.*?)^```$", re.DOTALL | re.MULTILINE)
CODE_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
REPOSITORY_PATH = re.compile(
    r"(src|tests|docs|benchmarks|\.ci)/[\w./-]*|(README|CHANGELOG|CONTRIBUTING)\.md|Makefile|LICENSE|pyproject\.toml"
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

COMMANDS = get_command(app).commands


def python_lines(text: str) -> str:
    """The Python blocks of a page, on the lines on which they stand in it."""
    kept = [""] * (text.count("\n") + 1)
    for block in FENCE.finditer(text):
        if block["language"] == "python":
            first = text.count("\n", 0, block.start("content"))
            lines = block["content"].splitlines()
            kept[first : first + len(lines)] = lines
    return "\n".join(kept)


def console(text: str) -> list[tuple[str, str]]:
    """The commands of heatlift in a page's console blocks, each with the output shown for it."""
    found: list[tuple[str, str]] = []
    for block in FENCE.finditer(text):
        if block["language"] in ("console", "sh", "bash", "shell"):
            lines = block["content"].replace("\\\n", " ")
            prompted = "$ " in lines
            for entry in re.split(r"^\$ ", lines, flags=re.MULTILINE)[1:] if prompted else lines.splitlines():
                command, _, output = entry.partition("\n")
                if command.startswith("heatlift "):
                    found.append((command, output))
    return found


def mentions(text: str) -> list[str]:
    """The commands of heatlift in running text, often with options left out."""
    spans = (" ".join(span.split()) for span in CODE_SPAN.findall(FENCE.sub("", text)))
    return [span for span in spans if span.startswith("heatlift ")]


def with_(what: str) -> list[str]:
    """The pages that have something of a kind, for tests that run once a page."""
    has = {"python": lambda text: ">>>" in python_lines(text), "console": console, "mentions": mentions}
    return [name for name, text in BY_NAME.items() if has[what](text)]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the tour leaves it: photographs, and the run made by the tour's own command."""
    folder = tmp_path_factory.mktemp("tour")
    class_folders(folder / "photos", each=4, classes=("cat", "dog"))
    (command,) = (line for line, _ in console(BY_NAME["docs/index.md"]) if "--out runs/first" in line)
    with contextlib.chdir(folder):
        assert run(shlex.split(command, comments=True)[1:]) == 0
    return folder


@pytest.mark.parametrize("name", with_("python"))
def test_python_examples_run(name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    torch.manual_seed(0)
    parsed = doctest.DocTestParser().get_doctest(python_lines(BY_NAME[name]), {}, name, name, 0)
    said: list[str] = []
    outcome = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(parsed, out=said.append)
    assert outcome.attempted
    assert not outcome.failed, "".join(said)


@pytest.mark.parametrize("name", BY_NAME)
def test_no_python_block_is_left_unrun(name: str) -> None:
    blocks = [
        b["content"] for b in FENCE.finditer(BY_NAME[name]) if b["language"] in ("python", "py", "pycon")
    ]
    assert len(blocks) == BY_NAME[name].count("```py")
    assert all(content.startswith(">>> ") for content in blocks)
    assert python_lines(BY_NAME[name]).count("\n>>> ") >= len(blocks)


@pytest.mark.parametrize("name", with_("console"))
def test_commands_parse(name: str) -> None:
    for line, _ in console(BY_NAME[name]):
        command, *arguments = shlex.split(line, comments=True)[1:]
        assert command in COMMANDS, line
        # Raises for an unknown option, a missing one, or a value of the wrong type.
        COMMANDS[command].make_context(command, arguments)


@pytest.mark.parametrize("name", with_("mentions"))
def test_commands_named_in_the_text_exist_with_their_options(name: str) -> None:
    for line in mentions(BY_NAME[name]):
        _, command, *arguments = line.split()
        assert command in COMMANDS, line
        known = {option for parameter in COMMANDS[command].params for option in parameter.opts} | {"--help"}
        assert {argument for argument in arguments if argument.startswith("-")} <= known, line


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_in_a_command_s_help_parses(command: str) -> None:
    (example,) = re.findall(r"Example: heatlift (.+)", " ".join(COMMANDS[command].help.split()))
    first, *arguments = shlex.split(example)
    assert first == command
    COMMANDS[command].make_context(command, arguments)


def test_commands_that_cost_little_do_what_is_shown(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    shown = 0
    for line, output in (entry for text in BY_NAME.values() for entry in console(text)):
        _, command, *arguments = shlex.split(line, comments=True)
        offline = command == "check" and "--weights random" in line
        if offline or (command == "report" and Path(arguments[0]).is_dir()):
            assert run([command, *arguments]) == 0, line
            said = capsys.readouterr().out
            if output:
                shown += 1
                assert doctest.OutputChecker().check_output(output, said, FLAGS), f"{line}\n{said}"
    assert shown


@pytest.mark.parametrize("name", BY_NAME)
def test_paths_and_links_lead_somewhere(name: str) -> None:
    text = FENCE.sub("", BY_NAME[name])
    named = {span for span in CODE_SPAN.findall(text) if REPOSITORY_PATH.fullmatch(span)}
    missing = {path for path in named if not (ROOT / path).exists()}
    links = {link.partition("#")[0] for link in LINK.findall(text) if "://" not in link} - {""}
    missing |= {link for link in links if not (ROOT / name).parent.joinpath(link).exists()}
    assert not missing
    if name == "CONTRIBUTING.md":
        assert len(named) > 20  # or the pattern finds nothing any more


def cells(text: str, after: str) -> list[str]:
    """The first column of the first table after some words, without its header."""
    rows = re.search(r"(?:^\|.*\n)+", text[text.index(after) :], re.MULTILINE)
    assert rows
    return [row.split("|")[1].strip().strip("`") for row in rows[0].splitlines()[2:]]


def test_runs_explains_every_column() -> None:
    text = BY_NAME["docs/runs.md"]
    for table, schema in SCHEMAS.items():
        assert cells(text, f"\n`{table}`:\n") == schema.names


def test_runs_explains_every_key_of_the_two_records(workplace: Path) -> None:
    spans = set(CODE_SPAN.findall(FENCE.sub("", BY_NAME["docs/runs.md"])))
    run = hl.read(workplace / "runs" / "first")
    assert run.summary is not None
    keys = {
        *run.record,
        *run.summary,
        *run.summary["run"],
        *run.summary["counts"],
        *run.summary["methods"][0],
    }
    for signal, figures in run.summary["baselines"].items():
        keys |= {signal, *figures}
    assert keys - spans == set()


def test_methods_and_controls_are_those_of_the_registries() -> None:
    text = BY_NAME["docs/methods.md"]
    assert cells(text, "## The six methods") == list(TJOA_2022)
    assert cells(text, "## More methods") == [name for name in METHODS if name not in TJOA_2022]
    assert cells(text, "## Controls") == list(CONTROLS)
    assert set(OPERATIONS) <= set(CODE_SPAN.findall(BY_NAME["docs/scores.md"]))


def test_images_lists_the_extensions() -> None:
    _, after = BY_NAME["docs/images.md"].split("in small or capital letters:\n\n")
    assert set(after.splitlines()[0].strip("`").split()) == EXTENSIONS


def test_every_public_name_has_its_reference() -> None:
    for name in hl.__all__:
        if name != "__version__":
            home = getattr(hl, name).__module__
            assert re.search(rf"::\s+{home}\.{name}$", BY_NAME["docs/api.md"], re.MULTILINE), name


def test_the_changelog_has_this_version() -> None:
    assert f"\n## [{hl.__version__}]" in BY_NAME["CHANGELOG.md"]
