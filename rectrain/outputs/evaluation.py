"""What `rectrain evaluate` found: a JSON file for programs, an HTML page beside it and a summary for people."""

import json
from pathlib import Path

from rectrain.errors import CANNOT_WRITE, InputError
from rectrain.outputs.closer_look import checkpoints_section, closer_look, importance_section, slices_section
from rectrain.outputs.explanations import explanations_section
from rectrain.outputs.html import header, metric_tables, render_html, sample_banner, score_curves, verdict
from rectrain.outputs.report import to_json
from rectrain.outputs.summary import Page, heading, metrics_block
from rectrain.run_dir import write_whole

SECTIONS = (
    header,
    sample_banner,
    verdict,
    metric_tables,
    checkpoints_section,
    slices_section,
    importance_section,
    explanations_section,
    score_curves,
)


def write_evaluation(path: Path, found: dict):
    """Writes <path> and the page of the same name; each is whole or as it was.

    Raises:
        InputError: the folder cannot be written.
    """
    found_json = to_json(found)
    try:
        write_whole(path.with_suffix(".html"), render_html(json.loads(found_json), SECTIONS))
        write_whole(path, found_json)
    except OSError as error:
        why = CANNOT_WRITE.get(error.errno or 0, str(error.strerror))
        raise InputError(f"output={path}: cannot write there: {why}. Name another file with output=F.json.") from error


def evaluation_summary(found: dict, path: Path, *, width: int, color: bool, unicode: bool) -> str:
    page = Page(width, color, unicode)
    last = [*page.labelled("checkpoint", f"step {found['checkpoint']:,}")]
    if found["explanations"]:
        last += page.labelled("explained", f"{len(found['explanations'])} rows, in the page")
    last.append(f"{'evaluation':<13}{page.text(path.with_suffix('.html'))}")
    blocks = [heading(page, found), metrics_block(page, found), *closer_look(page, found), last]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"
