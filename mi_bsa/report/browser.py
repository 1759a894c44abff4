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
CHECK = """<script>{axe}</script><script>
axe.run(document, {{resultTypes: ["violations"]}}).then(found => {{
  document.documentElement.dataset.faults = JSON.stringify(found.violations.map(
    one => `${{one.id}} (${{one.nodes.length}}): ${{one.nodes[0].html.slice(0, 100)}}`));
}});
</script>"""


def faults(page: Path, *, axe: str, dark: bool, folder: Path) -> list[str]:
    """What axe-core finds wrong with a page for somebody who sees little or has no mouse: contrast, labels,
    headings, what scrolls without a keyboard; a line a rule, with how many places and the first of them.

    `axe`: the source of axe-core; `dark`: whether the reader prefers dark pages.
    """
    copy = folder / "checked.html"
    script = CHECK.format(axe=axe.replace("</script", "<\\/script"))
    copy.write_text(page.read_text().replace("</body>", script + "</body>"))
    # axe runs after the page has loaded: the dump waits for so many milliseconds of the page's own time
    flags = (*FLAGS, "--virtual-time-budget=20000", f"--blink-settings=preferredColorScheme={int(not dark)}")
    command = [str(CHROMIUM), *flags, f"--user-data-dir={folder / 'profile'}", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-faults="([^"]*)"', done.stdout)
    assert found is not None
    told: list[str] = json.loads(html.unescape(found.group(1)))
    return told


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
