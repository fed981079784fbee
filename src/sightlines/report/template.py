"""The results page as one Jinja template: no script, no font, no file but itself.

A Python module rather than a data file, so that it takes part in the stage's code digest.
The order of the sections: what was found first, provenance last.
"""

PAGE = """\
{%- macro table(rows, head, note="") -%}
<div class="scroll" role="region" tabindex="0" aria-label="{{ note or 'table' }}">
<table>
{%- set words = text_columns(rows) %}
<thead><tr>
{%- for cell in head %}<th scope="col"{% if words[loop.index0] %} class="words"{% endif %}>\
{{ cell }}</th>{% endfor -%}
</tr></thead>
<tbody>
{% for row in rows -%}
<tr{% if row.mark %} class="{{ row.mark }}"{% endif %}>
{%- for cell in row.cells %}<td{% if words[loop.index0] %} class="words"{% endif %}>\
{{ cell }}</td>{% endfor -%}
</tr>
{% endfor -%}
</tbody>
</table>
</div>
{%- endmacro -%}
{%- macro badge(verdict, text) -%}
<span class="verdict {{ verdict | replace(',', '') | replace(' ', '-') }}">{{ text }}</span>
{%- endmacro -%}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<link rel="icon" href="data:,">
<title>{{ experiment }} – sightlines</title>
<style>{{ css }}</style>
</head>
<body>
<header>
<p class="kicker">sightlines – do vision transformers see like convolutional networks?</p>
<h1>Experiment “{{ experiment }}”</h1>
<p>{{ summary }}</p>
<nav aria-label="Sections">
{%- for name, text in sections %}<a href="#{{ name }}">{{ text }}</a>{% endfor -%}
</nav>
</header>
<main>
{%- if verdicts %}
<section id="verdicts">
<h2>The paper’s claims on these networks</h2>
<ul class="counts">
{%- for word, mark, count, meaning in verdicts.counts %}
<li>{{ badge(word, mark ~ " " ~ count ~ " " ~ word) }} <span class="note">{{ meaning }}</span></li>
{%- endfor %}
</ul>
<div class="scroll" role="region" tabindex="0" aria-label="every claim with its verdict">
<table class="claims">
<thead><tr>
{%- for head in ("Claim", "What the paper says", "Verdict", "Measured", "Why") %}
<th scope="col" class="words">{{ head }}</th>
{%- endfor %}
</tr></thead>
<tbody>
{%- for row in verdicts.rows %}
<tr>
<td class="words">
{%- if row.drawn %}<a href="#{{ row.drawn }}">{{ row.claim }}</a>
{%- else %}{{ row.claim }}{% endif %}
<br><span class="note">{{ row.figure }}<br>tier {{ row.tier }}</span></td>
<td class="words">{{ row.statement }}<br><span class="note">Paper: {{ row.paper }}</span></td>
<td class="words">{{ badge(row.verdict, row.mark ~ " " ~ row.verdict) }}
{%- if row.depends %}<br>{{ row.depends }}{% endif %}</td>
<td class="words">{{ row.measured or "–" }}
{%- if row.needed %}
<br><span class="note">Needed: {{ row.needed }} ({{ row.reason }})</span>{% endif %}
{%- if row.over %}
<br><span class="note">Over {{ row.over }}{% if row.seeds %}: {{ row.seeds }}{% endif %}</span>
{%- endif %}
{%- if row.control %}<br><span class="note">Untrained: {{ row.control }}
{%- if row.difference %}; trained − untrained: {{ row.difference }}{% endif %}</span>{% endif %}
{%- if row.discovery %}<br><span class="note">{{ row.discovery }}</span>{% endif %}</td>
<td class="words">{{ row.because }}
{%- if row.amended %}
<br><span class="note">Amended {{ row.amended }}
{%- if row.before %}; by the stricter criteria before: {{ row.before }}{% endif %}</span>
{%- endif %}
{%- if row.opinions %}
<br><span class="note">Other indices of similarity: {{ row.opinions }}</span>
{%- endif %}</td>
</tr>
{%- endfor %}
</tbody>
</table>
</div>
<p class="note">Tiers:
{%- for tier, meaning in verdicts.tiers %} {{ tier }}, {{ meaning }}{{ "." if loop.last else ";" }}
{%- endfor %}</p>
<p class="note">Measured is the reading that decided, with its 95 % interval over these images and
these seeds: what other images of the kind, and networks trained from other seeds, would give. Of
one run it is over images only, and says nothing of other runs. p is the probability of so clear a
verdict were the truth at the threshold; q, with which of all verdicts those up to it are wrong on
average in that share (Benjamini and Yekutieli). Of {{ verdicts.discoveries[0] }} decisive
verdicts {{ verdicts.discoveries[1] }} are taken at a false discovery rate of
{{ verdicts.discoveries[2] }}.</p>
{%- if verdicts.calibration %}
<p class="note">{{ verdicts.calibration }}</p>
{%- endif %}
<p class="note">Thresholds stand in the claims’ source files and were set before there were
results; docs/amendments.md has what changed later. The paper’s values marked [fig] were read off
its plots.</p>
{%- if verdicts.cases %}
<details><summary>Every reading behind the verdicts</summary>
{{ table(verdicts.cases, verdicts.cases_head, "every reading behind the verdicts") }}
</details>
{%- endif %}
</section>
{%- endif %}
<section id="run">
<h2>What was run</h2>
<dl>
{%- for name, value in facts %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{%- endfor %}
</dl>
<h3>Networks</h3>
{{ table(models.rows, models.head, "networks and their recipes") }}
{%- if models.shared %}
<p class="note">Recipe shared by all: {{ models.shared }}.</p>
{%- endif %}
</section>
{%- if accuracy %}
<section id="accuracy">
<h2>Accuracy</h2>
{{ table(accuracy.rows, accuracy.head, "accuracy of every network") }}
<p class="note">{{ accuracy.note }}</p>
</section>
{%- endif %}
{%- if controls %}
<section id="controls">
<h2>Measured values beside their controls</h2>
{%- for part in controls %}
<h3>{{ part.title }}</h3>
{{ table(part.rows, part.head, part.title) }}
<p class="note">{{ part.note }}</p>
{%- endfor %}
</section>
{%- endif %}
<section id="figures">
<h2>Figures</h2>
{%- for figure in figures %}
<figure id="{{ figure.name }}">
<h3>{{ figure.title }}
{%- if figure.paper %} <span class="paper">{{ figure.paper }}</span>{% endif %}</h3>
{%- if figure.explains %}
<p>{{ figure.explains }}</p>
{%- endif %}
<div class="scroll" role="region" tabindex="0" aria-label="{{ figure.title }}">
<img src="{{ figure.source }}" alt="{{ figure.alt }}"
 width="{{ figure.width }}" height="{{ figure.height }}" style="max-width: {{ figure.most }}px; \
min-width: {{ figure.least }}px">
</div>
<figcaption>{{ figure.caption }}</figcaption>
</figure>
{%- endfor %}
</section>
<section id="differences">
<h2>Where this differs from the paper, and why</h2>
<dl>
{%- for name, text in differences %}
<dt>{{ name }}</dt><dd>{{ text }}</dd>
{%- endfor %}
</dl>
</section>
{%- if layers %}
<section id="layers">
<h2>Layers</h2>
{{ table(layers.rows, layers.head, "number of layers of each model") }}
</section>
{%- endif %}
</main>
<section id="provenance">
<h2>Provenance</h2>
<p class="note">From the records that each job left. Unlike everything above, this section differs \
from run to run: it holds times, memory and hardware.</p>
<dl>
{%- for name, value in provenance.facts %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{%- endfor %}
</dl>
<h3>Time and memory</h3>
{{ table(provenance.stages, provenance.stages_head, "time and memory of each stage") }}
<details><summary>Config</summary>
<pre tabindex="0">{{ provenance.config }}</pre></details>
<details><summary>Hashes of {{ provenance.hashes | length }} results</summary>
{{ table(provenance.hashes, ["File", "SHA-256"], "hashes of results") }}
</details>
</section>
</body>
</html>
"""

CSS = """\
:root { --ink: #1b1f24; --soft: #57606a; --line: #d5d9de; --page: #ffffff; --shade: #f3f5f7;
  --link: #0072b2; --good: #00664a; --warn: #9a3d00; --warn-page: #fdf0e7; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --soft: #a3abb5; --line: #3a414a; --page: #16191d; --shade: #20252b;
    --link: #6bbcec; --good: #5fd3ae; --warn: #ffb27d; --warn-page: #35241a; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 74rem; padding: 1rem clamp(0.8rem, 3vw, 2.5rem) 4rem;
  color: var(--ink); background: var(--page); overflow-wrap: anywhere;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; margin: 0.2rem 0 0.6rem; }
h2 { font-size: 1.4rem; margin: 2.8rem 0 0.8rem; border-bottom: 1px solid var(--line);
  padding-bottom: 0.3rem; }
h3 { font-size: 1.08rem; margin: 1.8rem 0 0.6rem; }
p, figcaption, dl { max-width: 46rem; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: 0.3rem 1.1rem; }
nav a { padding: 0.15rem 0; }
.kicker, .note, .paper { color: var(--soft); font-size: 0.9rem; }
.kicker { margin: 0.5rem 0 0; }
.paper { font-weight: 400; margin-left: 0.4rem; white-space: nowrap; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) minmax(0, 1fr);
  gap: 0.3rem 1.2rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; }
.scroll { overflow-x: auto; max-width: 100%; }
.scroll:focus-visible, pre:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.8rem; border-bottom: 1px solid var(--line); text-align: right;
  overflow-wrap: normal; }
td { white-space: nowrap; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; background: var(--shade); }
.words { text-align: left; }
tr.control td { color: var(--soft); }
tr.flagged td { color: var(--warn); background: var(--warn-page); }
.counts { list-style: none; padding: 0; margin: 0 0 1rem; }
.counts li { margin: 0.25rem 0; }
.verdict { display: inline-block; white-space: nowrap; font-weight: 600; padding: 0.05rem 0.5rem;
  border: 1px solid currentColor; border-radius: 0.3rem; color: var(--soft); }
.verdict.holds-learned, .verdict.holds-at-initialisation, .verdict.holds { color: var(--good); }
.verdict.does-not-hold, .verdict.lost-in-training { color: var(--warn); }
.claims { min-width: 60rem; }
.claims td { white-space: normal; vertical-align: top; }
.claims td:nth-child(3) { min-width: 9rem; max-width: 12rem; }
.claims td:nth-child(2) { min-width: 13rem; }
.claims td:nth-child(4) { min-width: 13rem; }
.claims td:nth-child(5) { min-width: 13rem; }
figure { margin: 0 0 2.6rem; }
figure img { display: block; width: 100%; height: auto; background: #ffffff; }
figcaption { margin-top: 0.6rem; font-size: 0.95rem; }
details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--link); }
pre { overflow: auto; max-height: 32rem; padding: 0.8rem; background: var(--shade);
  font-size: 0.82rem; line-height: 1.4; }
@media (max-width: 30rem) {
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: 0.5rem; }
  th, td { padding: 0.25rem 0.5rem; } }
@media print { nav { display: none; } .scroll { overflow: visible; } }
"""
