"""The picture of README.md: the report of a run that this script makes itself.

    python scripts/screenshots.py [--output docs/images/report.png] [--run DIR]

Trains what `make run` trains, `model=dcn data=criteo` on the built-in sample (under a minute on 2 cores), and has a
headless Chromium draw the head of its report.html in light colours. --run takes a run that is there instead. It needs
Chromium or Google Chrome: on Debian and Ubuntu `apt-get install chromium`, or name another with CHROMIUM=/path/to/it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT = 1400, 1445  # down to the learning curves; no path of this machine is shown
MAX_BYTES = 300_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
RECTRAIN = [sys.executable, "-c", "from rectrain.cli import main; main()"]


def main(output: Path, run: Path | None):
    browser = find_browser()
    with tempfile.TemporaryDirectory() as scratch:
        folder = run or train(Path(scratch))
        picture = Path(scratch) / "report.png"
        photograph(browser, folder / "report.html", picture)
        size = picture.stat().st_size
        if size > MAX_BYTES:
            sys.exit(f"the picture has {size:,} bytes, more than {MAX_BYTES:,}; {output} is as it was")
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, output)
    print(f"{output}: {WIDTH} x {HEIGHT}, {size:,} bytes")


def find_browser() -> str:
    named = os.environ.get("CHROMIUM")
    found = [path for name in ([named] if named else BROWSERS) if (path := shutil.which(name))]
    if not found:
        sys.exit(
            f"no browser: {named or ', '.join(BROWSERS)} not found. Install Chromium (Debian and Ubuntu: apt-get "
            "install chromium), or name one with CHROMIUM=/path/to/chromium."
        )
    return found[0]


def train(scratch: Path) -> Path:
    """A run in an empty folder, so that its data are the sample whatever this one holds."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*RECTRAIN, "model=dcn", "data=criteo", f"hydra.run.dir={scratch / 'run'}"]
    subprocess.run(command, check=True, cwd=scratch, env=environment)
    return scratch / "run"


def photograph(browser: str, page: Path, picture: Path):
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        "--blink-settings=preferredColorScheme=1",  # light
        f"--window-size={WIDTH},{HEIGHT}",
        f"--screenshot={picture}",
        page.resolve().as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode or not picture.exists():
        sys.exit(f"{browser} drew nothing (exit code {done.returncode}):\n{done.stderr}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs/images/report.png")
    parser.add_argument("--run", type=Path, help="a run that is there")
    arguments = parser.parse_args()
    main(arguments.output, arguments.run)
