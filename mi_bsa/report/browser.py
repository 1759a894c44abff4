"""A page in a real browser, for tests: what it shows at a width, and what it writes to the console."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--dump-dom"),
)
MEASURE = """<!doctype html>
<iframe width="{width}" height="900" style="border: 0" srcdoc="{page}"></iframe>
<script>
document.querySelector("iframe").addEventListener("load", event => {{
  const inside = event.target.contentDocument;
  const boxes = [...inside.querySelectorAll("figure svg")].map(svg => svg.getBoundingClientRect());
  console.log("measured");
  document.documentElement.dataset.measured = JSON.stringify({{
    figures: inside.querySelectorAll("figure").length,
    visible: boxes.filter(box => box.width > 200 && box.height > 40).length,
    wider: inside.documentElement.scrollWidth - inside.documentElement.clientWidth,
  }});
}});
</script>
"""


def look(page: Path, *, width: int, folder: Path) -> tuple[dict[str, int], list[str]]:
    """Open a page in a frame of a width; returns what was measured in it and the lines of its console."""
    outer = folder / "outer.html"
    outer.write_text(MEASURE.format(width=width, page=html.escape(page.read_text())))
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", outer.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    measured = re.search(r'data-measured="([^"]+)"', done.stdout)
    assert measured is not None
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(measured.group(1))), console
