"""How the HTML pages look, and how a picture is put inside one."""

import base64

STYLE = """
:root { color-scheme: light; --ink: #222; --faint: #6a6a6a; --line: #e2e2e2; --wrong: #b3261e; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; color: var(--ink);
  background: #fff; font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
p { margin: .25rem 0; }
.faint { color: var(--faint); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin-top: 1rem; }
th, td { text-align: left; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; font-size: .85rem; color: var(--faint); }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
.figures img { width: 100%; height: auto; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(14.5rem, 1fr));
  gap: 1rem; }
figure { margin: 0; padding: .5rem; border: 1px solid var(--line); border-radius: .5rem; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 4px; margin-bottom: .35rem; }
.two img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: .25rem; }
figcaption { font-size: .8rem; overflow-wrap: anywhere; }
figcaption b { font-size: .9rem; font-variant-numeric: tabular-nums; }
.wrong { color: var(--wrong); }
.warning { margin: .5rem 0; padding: .5rem .75rem; border-left: 4px solid var(--wrong);
  background: #fdf3f2; }
"""


def png_address(content: bytes) -> str:
    """A PNG file as an address that holds it whole."""
    return "data:image/png;base64," + base64.b64encode(content).decode()
