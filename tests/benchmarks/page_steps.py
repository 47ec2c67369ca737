"""How long a page takes to open and each step of its slider until it is painted, in headless Chromium.

Run as `python -m tests.benchmarks.page_steps RUN/report.html`; `make test-page` installs playwright and Chromium.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from pathlib import Path

_ROUNDS = 5
_STEPS = f"""async () => {{
    const slider = () => document.getElementById("slider");
    const took = Array.from({{ length: Number(slider().max) + 1 }}, () => []);
    for (let round = 0; round < {_ROUNDS}; round += 1) {{
        for (const at of took.keys()) {{
            slider().value = at;
            const began = performance.now();
            slider().dispatchEvent(new Event("input"));
            await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
            took[at].push(performance.now() - began);
        }}
    }}
    return took;
}}"""


def main(file: Path) -> None:
    """Print the size of the page, its first paint, and the median of each step, in milliseconds."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True).new_page()
        paints = []
        for _ in range(3):
            page.goto(file.resolve().as_uri())
            page.locator("#slider").wait_for()
            paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        print(f"{file.stat().st_size / 1e6:.1f} MB, first paint {statistics.median(paints):.0f} ms")
        for at, took in enumerate(page.evaluate(_STEPS)):
            page.locator("#slider").evaluate(
                "(slider, at) => {slider.value = at; slider.dispatchEvent(new Event('input'))}", at
            )
            size = page.locator("#kept").inner_text().split(" edges")[0]
            print(f"{size:>7} edges: {statistics.median(took):4.0f} ms ({min(took):.0f} to {max(took):.0f})")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
