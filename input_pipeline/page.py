"""Small HTML pages for reports: one file, pictures and sound beside it.

A page needs no network and no script. It is read on a phone as well as on a
desk, by eye or by a screen reader.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jinja2

from input_pipeline.atomic_file import replacing

_TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ page.title }}</title>
<style>{{ style }}</style>
</head>
<body>
<main>
<header>
<h1>{{ page.title }}</h1>
<p class="lead">{{ page.lead }}</p>
</header>
{% for section in page.sections %}
<section>
<h2>{{ section.heading }}</h2>
{% for block in section.blocks %}
{% set kind = block.__class__.__name__ %}
{% if kind == "Text" %}
<p>{{ block.text }}</p>
{% elif kind == "Command" %}
<pre>{{ block.text }}</pre>
{% elif kind == "Facts" %}
<dl>
{% for name, value in block.facts %}
<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{% endfor %}
</dl>
{% elif kind == "Table" %}
<div class="scroll"><table>
<thead><tr>
{% for name in block.columns %}<th scope="col">{{ name }}</th>{% endfor %}
</tr></thead>
<tbody>
{% for row in block.rows %}
<tr>
{% for cell in row %}
<td data-label="{{ block.columns[loop.index0] }}">
{%- if cell in badges -%}
<span class="badge {{ cell }}">{{ cell }}</span>
{%- else -%}{{ cell }}{%- endif -%}
</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table></div>
{% elif kind == "Picture" %}
<figure>
<a href="{{ block.file }}"><img src="{{ block.file }}" alt="{{ block.alt }}">
</a>
<figcaption>{{ block.caption }}</figcaption>
</figure>
{% elif kind == "Sound" %}
<figure>
<audio controls preload="metadata" src="{{ block.file }}"></audio>
<figcaption>{{ block.caption }}</figcaption>
</figure>
{% elif kind == "Film" %}
<figure>
<video controls preload="metadata" playsinline src="{{ block.file }}"></video>
<figcaption>{{ block.caption }}</figcaption>
</figure>
{% endif %}
{% endfor %}
</section>
{% endfor %}
<footer>{{ page.footer }}</footer>
</main>
</body>
</html>
"""

_STYLE = """
:root { --ink: #1d2733; --soft: #5b6875; --line: #dfe5eb; --paper: #fff; }
* { box-sizing: border-box; }
body { margin: 0; background: #f3f5f8; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .4rem 0; }
h2 { font-size: 1.15rem; margin: 0 0 .8rem; }
.lead { font-size: 1.05rem; color: var(--soft); margin: 0 0 1.2rem; }
section { background: var(--paper); border: 1px solid var(--line);
  border-radius: .7rem; padding: 1.1rem 1.2rem; margin: 0 0 1.1rem; }
p { margin: 0 0 .8rem; max-width: 46rem; }
pre { background: #f3f5f8; border-radius: .4rem; padding: .7rem .9rem;
  margin: 0 0 .8rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font: .88rem/1.5 ui-monospace, Menlo, Consolas, monospace; }
dl { display: grid; gap: .9rem 1.4rem; margin: 0 0 .8rem;
  grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); }
dt { color: var(--soft); font-size: .82rem; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th { text-align: left; color: var(--soft); font-weight: 600;
  font-size: .82rem; }
th, td { padding: .5rem .9rem .5rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); }
tbody tr:last-child td { border-bottom: 0; }
.badge { display: inline-block; min-width: 3.3rem; text-align: center;
  border-radius: 1rem; padding: .05rem .6rem; font-size: .8rem;
  font-weight: 600; }
.pass { background: #dff3e4; color: #17603a; }
.warn { background: #fdeecb; color: #7a4b00; }
.fail { background: #fbdcdc; color: #8f1d1d; }
figure { margin: 0 0 1.1rem; }
figure:last-child { margin-bottom: 0; }
img, video { display: block; max-width: 100%; height: auto;
  border-radius: .4rem; }
audio { width: 100%; }
figcaption { color: var(--soft); font-size: .86rem; margin-top: .35rem; }
footer { color: var(--soft); font-size: .82rem; }
@media (max-width: 40rem) {
  thead { position: absolute; left: -999rem; }
  tr { display: block; padding: .6rem 0;
    border-bottom: 1px solid var(--line); }
  tbody tr:last-child { border-bottom: 0; }
  td { display: flex; gap: .8rem; border: 0; padding: .15rem 0; }
  td:empty { display: none; }
  td:first-child { font-weight: 600; }
  td:first-child::before { display: none; }
  td::before { content: attr(data-label); flex: 0 0 6rem;
    color: var(--soft); font-size: .82rem; }
}
"""


@dataclasses.dataclass(frozen=True)
class Text:
  """A paragraph."""

  text: str


@dataclasses.dataclass(frozen=True)
class Command:
  """Something to type, or other text that keeps its form."""

  text: str


@dataclasses.dataclass(frozen=True)
class Facts:
  """Names and values, for example (("Frames", "200"), ...)."""

  facts: Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Table:
  """Rows of text; the words pass, warn and fail become badges."""

  columns: Sequence[str]
  rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Picture:
  """An image file.

  Attributes:
    file: its path relative to the page.
    alt: what it shows, for those who cannot see it.
    caption: what to look for in it.
  """

  file: str
  alt: str
  caption: str


@dataclasses.dataclass(frozen=True)
class Sound:
  """An audio file, by its path relative to the page."""

  file: str
  caption: str


@dataclasses.dataclass(frozen=True)
class Film:
  """A video file, by its path relative to the page."""

  file: str
  caption: str


Block = Text | Command | Facts | Table | Picture | Sound | Film


@dataclasses.dataclass(frozen=True)
class Section:
  """A heading and what stands below it."""

  heading: str
  blocks: Sequence[Block]


@dataclasses.dataclass(frozen=True)
class Page:
  """A report.

  Attributes:
    title: what it is about.
    lead: one or two sentences with the outcome.
    sections: the rest, most important first.
    footer: who made it.
  """

  title: str
  lead: str
  sections: Sequence[Section]
  footer: str


def write_page(page: Page, path: Path) -> None:
  """Writes a page, whole or not at all.

  Args:
    page: what it says; all of it is escaped.
    path: the HTML file; files it names lie relative to its folder.
  """
  environment = jinja2.Environment(
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
  )
  html = environment.from_string(_TEMPLATE).render(
    page=page, style=_STYLE, badges=("pass", "warn", "fail")
  )
  with replacing(path) as temporary:
    temporary.write_text(html, encoding="utf-8")
