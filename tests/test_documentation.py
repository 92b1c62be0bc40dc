"""The documentation is executed: its Python and its commands run, and what it names exists."""

from __future__ import annotations

import contextlib
import doctest
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.main import get_command

import heatlift as hl
from heatlift.augmentation import OPERATIONS
from heatlift.cli import app, run
from heatlift.controls import CONTROLS
from heatlift.image_files import EXTENSIONS
from heatlift.registry import METHODS, TJOA_2022
from heatlift.run.tables import SCHEMAS
from pictures import class_folders, picture

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
    return [(command, output) for command, output in shell(text) if command.startswith("heatlift ")]


def shell(text: str) -> list[tuple[str, str]]:
    """All commands in a page's console blocks, each with the output shown for it."""
    found: list[tuple[str, str]] = []
    for block in FENCE.finditer(text):
        if block["language"] in ("console", "sh", "bash", "shell"):
            lines = block["content"].replace("\\\n", " ")
            prompted = "$ " in lines
            for entry in re.split(r"^\$ ", lines, flags=re.MULTILINE)[1:] if prompted else lines.splitlines():
                command, _, output = entry.partition("\n")
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


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the tour leaves it: photographs, and the run made by the tour's own command."""
    folder = tmp_path_factory.mktemp("tour")
    class_folders(folder / "photos", each=4, classes=("cat", "dog"))
    with contextlib.chdir(folder):
        assert run(shlex.split(tours_audit())[1:]) == 0
    return folder


def tours_audit() -> str:
    """The command that makes the tour's run."""
    (command,) = (line for line, _ in console(BY_NAME["docs/tour.md"]) if "--out runs/first" in line)
    return command


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


NOT_RUN = {
    r"pip install|make (demo|test|check)": "how all of this came to be here",
    r"heatlift demo": "tests/test_demo.py, with a small network",
    r"heatlift view": "goes on until it is ended; tests/test_viewer_command.py",
    r"heatlift reproduce": "tests/test_reproduce_kang2019.py, tests/test_reproduce_tjoa2022.py",
    r"heatlift check hf:": "tests/test_hugging_face.py",
    r"--indicator": "tests/test_indicators.py, with a module of its own",
    r"s3://": "tests/test_object_storage.py",
    r"--engine dask|dask (scheduler|worker)|^address=|^export ": "tests/test_dask_engine.py",
    r"kubectl|cluster\.py": "needs a cluster, as docs/clusters.md says",
    r"^(#.*|source .*|where=.*|until .*|)$|^srun": "a batch script of the same page",
}
"""What is only parsed, and why, or which test runs it."""

STAND_IN = "torchvision:squeezenet1_1"

INSTEAD = (
    (r"torchvision:\w+ --weights net.safetensors", f"{STAND_IN} --size 64 --weights net.safetensors"),
    (r"torchvision:densenet121 --weights random", f"{STAND_IN} --size 64 --weights random"),
    (r"--model demo --weights nets/", f"--model {STAND_IN} --weights nets/"),
    (r"(finetune .*)--model demo\b", rf"\1--model {STAND_IN} --weights random --size 64"),
    (r"--model demo\b", f"--model {STAND_IN} --weights random --num-classes 2 --size 64"),
    (r"--verify-on demo-lite2", f"--verify-on {STAND_IN} --verify-weights net.safetensors"),
    (r"--label tabby", "--label dog --classes classes.txt"),
    (r" --limit \d+", ""),
    (r"runs/(resnet34|densenet121) runs/densenet121", "runs/first runs/other"),
    (r"runs/first --format figures", "runs/other --format figures"),
)
"""A small network, and the workplace's files, for those that a page names."""

MANY = ("audit", "lift", "undesirable")
LESS = {
    "lift": "--steps 2 --max-steps 2",
    "undesirable": "--steps 2 --restarts 1",
    "explain": "--fast",
    "finetune": "--min-iterations 2 --max-iterations 2 --until-val-accuracy 0.01",
}


def executed() -> Iterator[tuple[str, str, str]]:
    """Each command that runs, as a page has it and as it runs, once, with the output shown for it."""
    met = {tours_audit()}  # made the workplace
    for text in BY_NAME.values():
        for line, output in shell(text):
            if any(re.search(pattern, line) for pattern in NOT_RUN):
                continue
            cheap = line.partition("  #")[0].strip()
            for pattern, instead in INSTEAD:
                cheap = re.sub(pattern, instead, cheap)
            # Where it goes makes no difference, but for the ending.
            kind = re.sub(r"(--out) [\w/-]+", r"\1 ", cheap.replace("photos/", "photos"))
            if not met & {kind, line}:
                met.add(kind)
                few = "" if "--include" in cheap or cheap.split()[1] not in MANY else "--limit 2"
                yield line, f"{cheap} {LESS.get(cheap.split()[1], '')} {few}", output


def test_every_command_runs_or_says_why_not() -> None:
    every = [line for text in BY_NAME.values() for line, _ in shell(text)]
    left = [line for line in every if not line.startswith("heatlift ")]
    assert [line for line in left if not any(re.search(pattern, line) for pattern in NOT_RUN)] == []
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, line) for line in every)] == []
    elsewhere = {test for why in NOT_RUN.values() for test in re.findall(r"tests/\w+\.py", why)}
    assert [test for test in elsewhere if not (ROOT / test).exists()] == []
    assert len(list(executed())) >= 20


@pytest.fixture(scope="module")
def furnished(workplace: Path) -> Path:
    """With what the pages speak of: weights, class names, a photograph, X-rays, other networks."""
    clf = hl.load(STAND_IN, weights="random", num_classes=2, size=64, seed=1)
    save_file(clf.network.state_dict(), workplace / "net.safetensors")
    (workplace / "classes.txt").write_text("cat\ndog\n", encoding="utf-8")
    picture(7, 90).save(workplace / "photo.jpg")
    for part in ("train", "test"):
        class_folders(workplace / "xrays" / part, each=6, classes=("NORMAL", "PNEUMONIA"))
    with contextlib.chdir(workplace):
        trained = f"finetune xrays/train --model {STAND_IN} --weights random --size 64 --out nets/first"
        assert run([*trained.split(), *LESS["finetune"].split()]) == 0
        other = f"audit photos --model {STAND_IN} --size 64 --weights random --seed 1 --num-classes 2"
        less = "--methods saliency --operations add --controls zero --out runs/other"
        assert run([*other.split(), *less.split()]) == 0
    return workplace


def test_commands_run_and_do_what_is_shown(
    furnished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(furnished)
    shown, there = 0, set()
    for line, cheap, output in executed():
        arguments = shlex.split(cheap)[1:]
        if "--out" in arguments:
            place = arguments.index("--out") + 1
            # Two pages may call two runs by one name.
            fresh = f"{len(there)}-{Path(arguments[place]).name}"
            arguments[place] = str(Path("made", fresh))
            there.add(Path("made", fresh))
        assert run(arguments) == 0, f"{line}\n{cheap}\n{capsys.readouterr().err}"
        said = capsys.readouterr().out
        if output:
            shown += 1
            assert doctest.OutputChecker().check_output(output, said, FLAGS), f"{line}\n{said}"
    assert shown
    assert all(path.exists() for path in there)


NOTEBOOKS = sorted(DOCS.glob("notebooks/*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs_and_their_commands_parse(notebook: Path) -> None:
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    for command in re.findall(r"heatlift ((?:audit|lift|undesirable) .*?)\"", " ".join(sources(cells))):
        first, *arguments = shlex.split(command)
        COMMANDS[first].make_context(first, arguments)
    title = next(iter(json.loads(notebook.read_text())["cells"][0]["source"]))
    assert title.startswith("# ")


def sources(cells: list[dict[str, list[str]]]) -> Iterator[str]:
    """Each cell's text."""
    return ("".join(cell["source"]) for cell in cells)


def test_the_build_of_the_documentation_runs_the_notebooks() -> None:
    settings = (DOCS / "conf.py").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) == 2
    assert 'nb_execution_mode = "force"' in settings
    assert "nb_execution_raise_on_error = True" in settings
    assert all(f"notebooks/{path.stem}\n" in BY_NAME["docs/index.md"] for path in NOTEBOOKS)


@pytest.mark.parametrize("name", BY_NAME)
def test_paths_and_links_lead_somewhere(name: str) -> None:
    text = FENCE.sub("", BY_NAME[name])
    named = {span for span in CODE_SPAN.findall(text) if REPOSITORY_PATH.fullmatch(span)}
    missing = {path for path in named if not (ROOT / path).exists()}
    # What is kept out of the repository is made by a command, and need not be there yet.
    missing -= {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
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
