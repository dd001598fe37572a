"""What README.md and docs/ say is true: commands compose, lists are complete, links lead somewhere."""

import ast
import configparser
import dataclasses
import re
import shlex
import typing
from itertools import dropwhile
from types import NoneType

import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from rectrain import config, registry, sections
from rectrain.cli import COMMANDS
from rectrain.evaluation import regression
from rectrain.hydra_errors import with_key_added
from rectrain.search.space import parse_space
from tests.pages import HISTORY, ROOT, TEXTS, TRANSLATION, blocks, first_names, quoted, rows, section, write_yaml

OWN_MODEL = "docs/own_model.md"  # tests/test_own_model.py runs its commands
QUICK_START = (
    "docs/quick_start.md"  # tests/test_docs_run.py runs it among the fast tests, the other pages among the slow
)
CRITEO = ROOT / "data/tiny/criteo_tiny.tsv"


def commands(program):
    """(page, words) of each command line of that program in a ```sh block."""
    code = [
        (page, block)
        for page, text in TEXTS.items()
        if page not in (HISTORY, OWN_MODEL, TRANSLATION)
        for block in blocks(text, "sh")
    ]
    split = [(page, shlex.split(line, comments=True)) for page, block in code for line in block.splitlines()]
    bare = [(page, list(dropwhile(re.compile("[A-Z_]+=").match, words))) for page, words in split]
    return [(page, words[1:]) for page, words in bare if words[:1] == [program]]


def ci_commands():
    """(page, words) of each command line of rectrain in the example of a workflow, for its first experiment."""
    page = "scripts/ci_example.yml"
    (job,) = yaml.safe_load((ROOT / page).read_text(encoding="utf-8"))["jobs"].values()
    first = job["strategy"]["matrix"]["experiment"][0]
    lines = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
    split = [shlex.split(line.replace("${{ matrix.experiment }}", first)) for line in lines]
    return [(page, words[1:]) for words in split if words[0] == ".venv/bin/rectrain"]


# Commands


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    """The YAML files that the pages tell the reader to write."""
    folder = tmp_path_factory.mktemp("docs")
    for text in TEXTS.values():
        write_yaml(text, folder)
    return folder / "conf"


def first_of_sweep(override):
    parsed = OverridesParser.create().parse_override(override)
    return f"{parsed.key_or_group}={next(parsed.sweep_string_iterator())}" if parsed.is_sweep_override() else override


@pytest.mark.parametrize(
    ("page", "words"),
    [(page, words) for page, words in [*commands("rectrain"), *ci_commands()] if page != QUICK_START],
    ids=lambda x: x if isinstance(x, str) else " ".join(x),
)
def test_every_command_composes(page, words, conf):
    check_composes(words, conf)


def check_composes(words, conf):
    """A command line, without its program: what it names is there, and what it sets may be set."""
    words = list(words)
    if "--shell-completion" in words:
        return
    if "--" in words:  # rectrain cluster -- a run
        check_composes(words[words.index("--") + 1 :], conf)
        words = words[: words.index("--")]
    command = words.pop(0) if words and words[0].isalpha() else "train"
    assert command in COMMANDS
    for flag in ("--config-dir", "--cfg"):
        if flag in words:
            assert words.pop(words.index(flag) + 1) in ("conf", "job")
            words.remove(flag)
    if "-m" in words:
        words.remove("-m")
        words = [first_of_sweep(word) for word in words]
    if command in ("models", "datasets"):
        assert not words
        return
    words = [re.sub("^data=", "data.files=", word) if command == "init" else word for word in words]
    composed = compose_as_the_command_line(command, [*words, f"hydra.searchpath=[file://{conf}]"])
    raw = OmegaConf.to_container(composed, resolve=True)
    if "sweep" in raw:  # which the sweeper reads, and no job has
        parse_space(sections.search_config(raw.pop("sweep")).space)
    getattr(sections, f"{command}_config")(raw)


def compose_as_the_command_line(command, words):
    try:
        with initialize_config_module("rectrain.configs", version_base="1.3"):
            return compose(command, words)
    except ConfigCompositionException as error:
        return compose_as_the_command_line(command, with_key_added(error, words))


@pytest.mark.slow
def test_the_example_of_a_workflow_trains_compares_and_shuts_the_gate(rectrain, tmp_path):
    small = ("data.sample.rows=8000", "trainer.epochs=1", "expect=null")
    baseline, candidate, compare = (words for _, words in ci_commands())
    for words in (baseline, candidate):
        code, _, err = rectrain(*words, *small)
        assert code == 0, err
    code, out, err = rectrain(*compare)
    assert code == 0, err
    assert "cannot be told apart in AUC (+0.00000" in " ".join(out.split())  # nothing was changed
    assert (tmp_path / "comparison.html").exists()
    worse = ("trainer.max_steps=1", "optimizer.learning_rate=1e-6", "hydra.sweep.dir=outputs/worse")
    assert rectrain(*candidate[:-1], *small, *worse)[0] == 0
    code, _, err = rectrain(*(word.replace("candidate", "worse") for word in compare))
    assert code == 3, err


def test_there_are_commands_of_both_kinds_on_every_page():
    pages = {page for page, _ in commands("rectrain")}
    assert {"README.md", "docs/quick_start.md", "docs/own_dataset.md", "CONTRIBUTING.md"} <= pages
    assert any(words[:1] == ["prepare"] for _, words in commands("rectrain"))
    assert any("-m" in words for _, words in commands("rectrain"))


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = {word for _, words in commands("make") for word in words if "=" not in word}
    assert {"run", "test", "check"} <= named <= targets


def test_requirements_without_tensorflow_are_those_of_setup_cfg():
    (words,) = [words for _, words in commands("pip") if words[0] == "install" and "-e" not in words]
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    required = setup["options"]["install_requires"].split()
    assert words[1:] == [requirement for requirement in required if not requirement.startswith("tensorflow")]


# Lists


def test_the_readme_lists_every_model_and_optimizer():
    models = rows(section("README.md", "## Models"))
    assert sorted(quoted(row[0])[0] for row in models) == registry.names("models")
    for row in models:
        assert f"(rectrain/models/{quoted(row[0])[0]}.py)" in row[-1]
    optimizers = [p.stem for p in (ROOT / "configs/optimizer").glob("*.yaml")]
    assert sorted(first_names(section("README.md", "## Optimizers"))) == sorted(optimizers)


def test_design_lists_the_rooms_in_the_order_of_the_layering_test():
    tree = ast.parse((ROOT / "tests/test_layering.py").read_text(encoding="utf-8"))
    (rooms,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "ROOMS"]
    assert [set(quoted(row[0])) for row in rows(section("docs/design.md", "## Rooms"))] == ast.literal_eval(rooms)


def test_design_lists_every_command():
    (listed,) = re.findall(r"The commands are (.*?): the files of", TEXTS["docs/design.md"], re.S)
    assert sorted(quoted(listed)) == sorted(COMMANDS)


def test_every_room_and_file_that_design_names_is_there_and_no_file_is_in_no_room():
    package = ROOT / "rectrain"
    modules = {p.stem if p.suffix == ".py" else p.name for p in package.iterdir() if p.suffix == ".py" or p.is_dir()}
    rooms = {name for row in rows(section("docs/design.md", "## Rooms")) for name in quoted(row[0])}
    assert rooms == modules - {"__init__", "__pycache__", "configs"}
    text = TEXTS["docs/design.md"]
    named = set(re.findall(r"(?<![\w/.<>-])((?:[\w<>-]+/)*[\w<>-]+\.(?:py|yaml))\b", text)) - {
        "config.yaml"
    }  # of a run
    named |= set(re.findall(r"(?<![\w/])(\w+/)", section("docs/design.md", "## The way of the data")))
    assert len(named) > 50
    places = [ROOT, package, ROOT / "configs"]
    absent = {name for name in named if not any(list(at.glob(re.sub("<.*?>", "*", name))) for at in places)}
    assert not absent


def default_of(field, given):
    if field.name in given:
        return given[field.name]
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return "required" if field.default is dataclasses.MISSING else field.default


def defaults(kind, prefix, given):
    """{dotted key: default} of a section; a default is the one in `given`, else the dataclass's, else "required"."""
    found, hints = {}, typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        members = (hints[field.name], *typing.get_args(hints[field.name]))
        sections = [member for member in members if dataclasses.is_dataclass(member)]
        if not sections or NoneType in members:
            found[prefix + field.name] = default_of(field, given)
        for inner in sections:
            found |= defaults(inner, f"{prefix}{field.name}.", given.get(field.name) or {})
    return found


def test_design_lists_every_key_of_a_data_set_with_its_default():
    base = yaml.safe_load((ROOT / "configs/data_defaults.yaml").read_text(encoding="utf-8"))["data"]
    expected = defaults(config.DataConfig, "", base)
    for group in (config.CategoricalConfig, config.NumericConfig, config.MultiValuedConfig, config.SequenceConfig):
        kind = group.__dataclass_fields__["type"].default
        expected |= defaults(group, f"{kind}.", {"type": "required"})
    table = rows(section("docs/design.md", "## A data set's YAML"))
    assert {quoted(key)[0]: yaml.safe_load((quoted(value) or [value])[0]) for key, value, _ in table} == expected


def paths(value, path=""):
    """Dotted paths of a report; an item of a list of sections is [], other lists are values."""
    if isinstance(value, dict) and path != "config":
        return {leaf for key, item in value.items() for leaf in paths(item, f"{path}.{key}" if path else key)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {leaf for item in value for leaf in paths(item, f"{path}[]")}
    return {path}


def test_design_lists_every_key_of_the_report(tiny_run):
    code, err, report = tiny_run("run", "model=lr", "trainer.epochs=1", "trainer.report_splits=[train,valid,test]")
    assert code == 0, err
    names = first_names(section("docs/design.md", "## report.json"))
    patterns = {name: re.sub(r"<\w+>", r"[\\w-]+", re.sub(r"([.\[\]])", r"\\\1", name)) for name in names}
    found = paths(report)
    unlisted = {path for path in found if not any(re.fullmatch(p, path) for p in patterns.values())}
    assert not unlisted
    absent = {name for name, pattern in patterns.items() if not any(re.fullmatch(pattern, path) for path in found)}
    of_gates = {"history[].gates.<gate>.load[]", "history[].gates.<gate>.entropy"}
    assert absent == {"best", "data.sample", *of_gates}  # the first two null in other runs; here they are sections
    of_numbers = {"rows", "positives", *regression.HIGHER_IS_BETTER}
    assert {*report["metrics"]["test"]["click"], *of_numbers} - {"rows", "positives"} == set(
        first_names(section("docs/design.md", "## Metrics"))
    )


# Messages and links

BROKEN = CRITEO.read_text(encoding="utf-8").replace("\t", "", 1)
VISITS = ROOT / "data/tiny/visits_tiny.csv"
NOT_A_NUMBER = VISITS.read_text(encoding="utf-8").replace(",2.01,", ",n/a,", 1)
OWN = ("--config-dir", "conf", "data=visits")
BY_ORDER = ("data.split.by=order", "data.split.train=0.998", "data.split.valid=0.001", "data.split.test=0.001")
FAULTS = [
    ("data=visits",),
    (*OWN, "data.labels.bought=bougth"),
    (*OWN, "data.labels.bought=importance"),
    (*OWN, "data.features.places.columns=[city,bought]"),
    (*OWN, "data.files=not_a_number.csv"),
    ("data=criteo", "data.files=broken.tsv"),
    (*OWN, "data.features.places.min_count=100"),
    (*OWN, *BY_ORDER),
    (*OWN, "data.split.by=order", "data.split.train=0.99", "data.split.valid=0.005", "data.split.test=0.005"),
    (*OWN, "data.features.places.min_cuont=2"),
    ("--config-dir", "conf", "data=nameless"),
]


def test_every_message_is_one_that_is_said(rectrain, tmp_path, conf):
    (tmp_path / "conf").symlink_to(conf)
    (tmp_path / "conf/data/nameless.yaml").write_text("folder: raw\n", encoding="utf-8")
    (tmp_path / "data/tiny").mkdir(parents=True)
    (tmp_path / "data/tiny/visits_tiny.csv").write_bytes(VISITS.read_bytes())
    (tmp_path / "not_a_number.csv").write_text(NOT_A_NUMBER, encoding="utf-8")
    (tmp_path / "broken.tsv").write_text(BROKEN, encoding="utf-8")
    heading = "## Errors, and what they mean"
    for message, fault in zip(first_names(section("docs/own_dataset.md", heading)), FAULTS, strict=True):
        command = () if fault[-1] == "data=nameless" else ("prepare",)
        code, _, err = rectrain(*command, *fault)
        assert code == 2
        assert re.search(".*".join(map(re.escape, message.split("..."))), err), f"{message}\n{err}"


def test_every_test_that_a_page_names_is_there():
    names = {name for text in TEXTS.values() for name in re.findall(r"`(test_\w+_\w+_\w+)`", text)}
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    assert names
    assert {name for name in names if f"def {name}(" not in code} == set()


def anchors(text):
    """The names that GitHub gives to headings."""
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.+)$", text, re.M)}


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_within_the_project_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", TEXTS[page]):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), target
