"""Texts with their tokens shaded, as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment

from robusteval.page.file import HEAD
from robusteval.report.tokens import Shown, caption, legend, level_of
from robusteval.report.transcripts import visible

LEVELS = 10


def tokens_page(every: Sequence[Shown], by: str, title: str) -> str:
    """One self-contained page; no scripts, nothing from elsewhere, all text escaped.

    Each token bears its score in its title; the highest have their rank beside them and stand in a list below, so that
    nothing is told by shades alone.
    """
    shown = []
    for each in every:
        views = []
        for view, rows in zip(each.views, each.rows(by), strict=True):
            columns = [[(part, level_of(part, LEVELS)) for part in row] for row in rows]
            views.append({"view": view, "columns": columns, "legend": legend(rows)})
        shown.append({"head": each.head, "facts": each.facts, "views": views})
    return _PAGE.render(title=visible(title), shown=shown, caption=caption(by), levels=range(1, LEVELS))


_PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    HEAD
    + """\
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --page: #fff; --ink: #1b1b1f; --faint: #66666e; --line: #d9d9e0; --heat: 240 140 20; }
@media (prefers-color-scheme: dark) {
  :root { --page: #17171a; --ink: #f2f2f5; --faint: #a0a0aa; --line: #3a3a42; --heat: 225 110 0; }
}
body { background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif;
  max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; overflow-wrap: anywhere; }
p, h3, .facts { color: var(--faint); margin: .3rem 0; font-weight: inherit; font-size: .9rem; }
article { border-top: 1px solid var(--line); padding: .8rem 0; }
h2 { font-size: 1rem; margin: 0; display: inline; }
.views { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 0 2rem; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; line-height: 2; margin: .3rem 0; }
.text span { border-radius: .2em; padding: .1em 0; box-shadow: inset 1px 0 var(--line); print-color-adjust: exact; }
.special { color: var(--faint); font-size: .8em; }
.text span.special { box-shadow: none; margin: 0 .3em; }
del, ins { text-decoration: underline 2px; text-underline-offset: .25em; }
del { text-decoration-style: wavy; }
sup { font-size: .65em; font-weight: 700; user-select: none; }
ul { margin: .2rem 0; padding: 0; list-style: none; columns: 12rem; font-size: .9rem; }
{% for level in levels %}
.s{{ level }} { background: rgb(var(--heat) / {{ "%.2f" % (0.7 * level / 9) }}); }
{% endfor %}
.scale { margin-bottom: 1rem; }
.scale span:last-of-type { margin-right: .5em; }
.scale span { color: var(--ink); display: inline-block; width: 1.6em; text-align: center; print-color-adjust: exact; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ caption }}. Point at a token to read its score.</p>
<p class="scale">{% for level in levels %}<span class="s{{ level }}">{{ level }}</span>{% endfor %}
shades from low to high; underlined: what an attack changed (wavy: what it took away)</p>
<main>
{% for each in shown %}
<article>
{% if each.head %}<h2><bdi>{{ each.head }}</bdi></h2> <span class="facts">{{ each.facts }}</span>{% endif +%}
<div class="views">
{% for one in each.views %}
<section>
<h3>{% if one.view.title %}{{ one.view.title }}: {% endif %}<bdi>{{ one.view.prediction }}</bdi>
{%- if one.view.scored.cut %}; the text goes on after what was read{% endif %}</h3>
{% for column in one.columns %}
<div class="text">
{%- for part, level in column %}
{% set body %}
{%- if not part.changed %}{{ part.text }}
{%- elif one.view.marks == "deleted" %}<del>{{ part.text }}</del>
{%- else %}<ins>{{ part.text }}</ins>{% endif %}
{%- endset %}
{%- if part.pieces -%}
<span title="{{ part.title }}" class="{% if part.special %}special{% else %}s{{ level }}{% endif %}">{{ body }}
{%- if part.rank %}<sup>{{ part.rank }}</sup>{% endif %}</span>
{%- else %}{{ body }}{% endif %}
{%- endfor %}</div>
{% endfor %}
<ul>
{% for text in one.legend %}
<li>{{ text }}</li>
{% endfor %}
</ul>
</section>
{% endfor %}
</div>
</article>
{% endfor %}
</main>
</body>
</html>
"""
)
