"""The results page as one Jinja template: no font, no file but itself, no script but its own.

A Python module rather than a data file, so that it takes part in the stage's code digest.
The order of the sections: what was found first, a section a question, provenance last.
"""

PAGE = """\
{%- macro table(rows, head, note="") -%}
<div class="scroll" role="region" tabindex="0" aria-label="{{ note or 'table' }}">
<table>
{%- set words = text_columns(rows) %}
<thead><tr>
{%- for cell in head %}<th scope="col"{% if words and words[loop.index0] %} class="words"\
{% endif %}>{{ cell }}</th>{% endfor -%}
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
{%- macro look(verdict) -%}{{ verdict | replace(',', '') | replace(' ', '-') }}{%- endmacro -%}
{%- macro badge(row) -%}
<span class="verdict {{ look(row.verdict) }}"><span class="mark" aria-hidden="true">{{ row.mark }}\
</span> <span class="long">{{ row.verdict }}{{ ": " ~ row.here if row.here }}</span>\
<span class="short" aria-hidden="true">{{ row.here or row.short }}</span></span>
{%- endmacro -%}
{%- macro place(mark, kind, shape) -%}
<svg x="{{ mark.at }}%" y="11" overflow="visible">
{%- if mark.beyond %}<path class="{{ kind }} beyond" d="{{ "M-3-4 3 0-3 4" if mark.beyond > 0 else \
"M3-4-3 0 3 4" }}"/>
{%- else %}<path class="{{ kind }}" d="{{ shape }}"/>{% endif -%}
</svg>
{%- endmacro -%}
{%- macro plot(row) -%}
{%- set p = row.picture -%}
{%- if p -%}
<svg class="plot {{ look(row.verdict) }}" role="img" aria-label="{{ p.words }}" width="100%" \
height="22">
<line class="bar" x1="50%" x2="50%" y1="0" y2="22"/>
{%- if p.control %}{{ place(p.control, "control", "M-4.5 4H4.5L0-4.5Z") }}{% endif %}
{%- for mark in p.paper %}{{ place(mark, "paper", "M0-5.5 5.5 0 0 5.5-5.5 0Z") }}{% endfor %}
{%- if p.low is not none %}<line class="ci{{ " alone" if row.one_run }}" x1="{{ p.low }}%" \
x2="{{ p.high }}%" y1="11" y2="11"/>{% endif %}
{{- place(p.value, "value " ~ p.shape, {"disc": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z", \
"ring": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z", "square": "M-3.6-3.6H3.6V3.6H-3.6Z"}[p.shape]) }}
</svg>
{%- else -%}
<span class="plot none">{{ row.because }}</span>
{%- endif -%}
{%- endmacro -%}
{%- macro figure_card(figure) -%}
<figure id="{{ figure.name }}">
<details class="zoom"><summary>
<span class="name">{{ figure.title }}
{%- if figure.paper %} <span class="paper">{{ figure.paper }}</span>{% endif %}</span>
<img src="{{ figure.source }}" alt="{{ figure.alt }}" width="{{ figure.width }}" \
height="{{ figure.height }}" style="--least: {{ figure.least }}px">
</summary>
<figcaption>{{ figure.caption }}
<span class="files">Beside this page:
{%- for name, path in figure.files %} <a href="{{ path }}">{{ name }}</a>\
{{ "" if loop.last else "," }}{% endfor %}</span></figcaption>
</details>
{%- if figure.saw %}
<p class="saw">Raghu et al.:
{%- for text, source in figure.saw %} {{ text }} <span class="from">({{ source }})</span>\
{{ "." if loop.last else ";" }}{% endfor %}</p>
{%- endif %}
</figure>
{%- endmacro -%}
{%- macro claim_card(row) -%}
<details class="claim" id="{{ row.anchor }}"><summary>
<span class="id">{{ row.claim }}</span>
<span class="says">{{ row.statement }}</span>
{{ badge(row) }}
<span class="got">{{ row.value }}{{ " †" if row.level }}{% if row.value and row.one_run and \
row.verdict != "one run" %} <span class="one">one run\
</span>{% endif %}</span>
</summary>
<dl>
<dt>Why</dt><dd>{{ row.because }}{% if row.depends %}; {{ row.depends }}{% endif %}</dd>
{%- if row.measured %}
<dt>Measured</dt><dd>{{ row.measured }}
{%- if row.over %}, over {{ row.over }}{% if row.seeds %}: {{ row.seeds }}{% endif %}
{%- endif %}</dd>
{%- endif %}
{%- if row.needed %}
<dt>Needed</dt><dd>{{ row.needed }} ({{ row.reason }})</dd>
{%- endif %}
{%- if row.control %}
<dt>Untrained</dt><dd>{{ row.control }}{% if row.difference %}; trained − untrained: \
{{ row.difference }}{% endif %}</dd>
{%- endif %}
<dt>Paper</dt><dd>{{ row.figure }}: {{ row.paper }}</dd>
<dt>Tier</dt><dd>{{ row.tier }}</dd>
{%- if row.discovery %}
<dt>Error rates</dt><dd>{{ row.discovery }}</dd>
{%- endif %}
{%- if row.opinions %}
<dt>Other indices</dt><dd>of similarity: {{ row.opinions }}</dd>
{%- endif %}
{%- if row.amended %}
<dt>Amended</dt><dd>{{ row.amended }}{% if row.before %}; by the stricter criteria before: \
{{ row.before }}{% endif %}</dd>
{%- endif %}
{%- if row.drawn %}
<dt>Figure</dt><dd><a href="#{{ row.drawn }}">{{ row.drawn }}</a></dd>
{%- endif %}
</dl>
{%- if row.cases %}
{{ table(row.cases, verdicts.cases_head, "every reading behind " ~ row.claim) }}
{%- endif %}
</details>
{%- endmacro -%}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline';{% if scripts %} script-src {{ scripts | safe }};{% endif %} \
base-uri 'none'; form-action 'none'">
<link rel="icon" href="data:,">
<title>{{ experiment }} – sightlines</title>
<style>{{ css }}</style>
</head>
<body>
<header>
<a class="skip" href="#answer">To the answer</a>
<p class="kicker">Experiment “{{ experiment }}”, after Raghu et al. 2021
{%- set works = sections | selectattr("question.work") | list | length %}
{%- if works %} and {{ works }} other work{{ "s" if works > 1 }}{% endif %}</p>
<h1>Do vision transformers see like convolutional networks?</h1>
{%- if head %}
<p class="answer"><b>{{ head.answer }}</b></p>
{%- if head.respects %}
<ul class="respects">
{%- for row in head.respects %}
<li>{{ badge(row) }} <span>{{ row.says }} \
<a href="#{{ verdicts.anchors[row.claim] }}">{{ row.claim }}</a>\
{%- if row.measured %} <span class="soft">{{ row.measured }}</span>{% endif %}</span></li>
{%- endfor %}
</ul>
{%- endif %}
{%- if head.note %}
<p class="note">{{ head.note }}</p>
{%- endif %}
<p class="line"><b>{{ verdicts.rows | length }} claims</b> of these works, by verdict:</p>
<ul class="legend">
{%- for word, mark, count, meaning in verdicts.counts %}
<li><span class="verdict {{ look(word) }}"><span class="mark" aria-hidden="true">{{ mark }}</span> \
{{ word }} ({{ count }})</span> {{ meaning }}</li>
{%- endfor %}
</ul>
{%- endif %}
<p class="line"><b>Networks</b> {{ networks }}.</p>
<p class="line"><b>Images</b> {{ images }}.</p>
<nav aria-label="Sections">
{%- if explorer %}<a href="#explore">Explore</a>{% endif -%}
{%- for section in sections %}<a href="#{{ section.question.key }}">{{ section.question.short }}\
</a>{% endfor -%}
<a href="#run">What was run</a><a href="#provenance">Provenance</a>
</nav>
</header>
<main>
<section id="answer" aria-label="Overview"{% if verdicts or maps %} class="overview"{% endif %}>
<div class="side">
{%- if maps %}
<h2 class="small">Similarity of layers <span class="paper">as in the paper’s Figure 1</span></h2>
<div class="maps" style="--columns: {{ maps | length }}">
{%- for map in maps %}
<div class="map"><span class="name">{{ map.label }}</span>
<img class="cells" src="{{ map.trained.source }}" alt="CKA of all pairs of \
{{ map.trained.layers }} layers of {{ map.label }}, trained; of the lowest with the \
highest quarter {{ map.trained.far }}" \
width="96" height="96">
{%- if map.untrained %}
<img class="cells" src="{{ map.untrained.source }}" alt="The same, untrained: \
{{ map.untrained.far }}" width="96" height="96">
{%- else %}
<span class="cells none">no untrained network</span>
{%- endif %}
<span class="far">{{ map.trained.far }}{% if map.untrained %} <span class="soft">\
({{ map.untrained.far }})</span>{% endif %}</span>
</div>
{%- endfor %}
</div>
<p class="note">Similarity (CKA) of every layer with every other, first layer at the lower left: \
<span class="scale" aria-hidden="true"></span> 0 to 1. Above trained, below untrained. \
Numbers: mean of the lowest with the highest quarter of layers, trained (untrained).</p>
{%- endif %}
</div>
{%- if verdicts %}
<div class="forest">
<h2 class="small">Every claim against its threshold</h2>
<p class="key"><span><svg width="10" height="12" aria-hidden="true"><circle class="value disc" \
cx="5" cy="6" r="4"/></svg> value: holds</span>
<span><svg width="10" height="12" aria-hidden="true"><path class="value square" \
d="M1.4 2.4h7.2v7.2h-7.2Z"/></svg> does not hold</span>
<span><svg width="10" height="12" aria-hidden="true"><circle class="value ring" cx="5" cy="6" \
r="4"/></svg> not settled</span>
<span><svg width="24" height="12" aria-hidden="true"><line class="ci" x1="2" x2="22" y1="6" \
y2="6"/></svg> interval that decides, 95 %</span>
{%- if verdicts.rows | selectattr("level") | list %}
<span>† wider: 95 % for all criteria of the claim together</span>
{%- endif %}
<span><svg width="24" height="12" aria-hidden="true"><line class="ci alone" x1="2" x2="22" y1="6" \
y2="6"/></svg> over images of one run</span>
<span><svg width="6" height="14" aria-hidden="true"><line class="bar" x1="3" x2="3" y1="0" \
y2="14"/></svg> threshold; right of it the claim holds</span>
<span><svg width="12" height="12" viewBox="-6 -6 12 12" aria-hidden="true"><path class="control" \
d="M-4.5 4H4.5L0-4.5Z"/></svg> untrained networks</span>
<span><svg width="14" height="12" viewBox="-7 -6 14 12" aria-hidden="true"><path class="paper" \
d="M0-5.5 5.5 0 0 5.5-5.5 0Z"/></svg> the paper’s networks</span>
<span><svg width="10" height="12" viewBox="-5 -6 10 12" aria-hidden="true"><path \
class="control beyond" d="M-3-4 3 0-3 4"/></svg> farther than shown</span>
<span>Each row has its own scale, and leads to the readings behind it.</span></p>
{%- for question, rows in verdicts.groups %}
<h3><a href="#{{ question.key }}">{{ question.short }}</a></h3>
<details class="group"><summary><b>{{ question.short }}</b> \
{{ short_tally(rows | map(attribute="verdict") | list) }}</summary>
<ul class="rows">
{%- for row in rows if row.is_run %}
<li><a class="row" href="#{{ row.anchor }}">
<span class="id">{{ row.claim }}</span>
<span class="says" title="{{ row.statement }}">{{ row.title }}</span>
{{ plot(row) }}
<span class="got" title="{{ row.measured }}">{{ row.value }}{{ " †" if row.level }}</span>
{{ badge(row) }}
</a></li>
{%- endfor %}
{%- for row in rows if not row.is_run %}
{%- if loop.first %}
<li class="absent">{{ badge(row) }}:{% endif %} <a href="#{{ row.anchor }}" \
title="{{ row.statement }}">{{ row.claim }}</a>{{ "" if loop.last else "," }}
{%- if loop.last %}</li>{% endif %}
{%- endfor %}
</ul>
</details>
{%- endfor %}
</div>
{%- endif %}
<div class="side context">
{%- if learned %}
<h2 class="small">How well the networks learned</h2>
<table class="learned">
<thead><tr><th scope="col" class="words">On all images</th><th scope="col">Test\
</th><th scope="col" class="words">Seeds</th></tr></thead>
<tbody>
{%- for name, share, seeds, few in learned[:14] %}
<tr{% if few %} class="flagged"{% endif %}><td class="words">{{ name }}</td><td>{{ share }}</td>\
<td class="words">{{ seeds }}{% if few %}: learned too little{% endif %}</td></tr>
{%- endfor %}
</tbody></table>
{%- if accuracy %}
<p class="note">{{ accuracy.short }}{% if learned | length > 14 %} {{ learned | length - 14 }} \
more under <a href="#run">What was run</a>.{% endif %}</p>
{%- endif %}
{%- endif %}
{%- if verdicts and verdicts.out_of_reach %}
<h2 class="small">Not tested here</h2>
<ul class="reach">
{%- for rows, why in verdicts.out_of_reach[:6] %}
<li>{% for row in rows %}<a href="#{{ row.anchor }}">{{ row.claim }}</a>{{ ", " if not loop.last }}\
{% endfor %}: {{ why }}</li>
{%- endfor %}
{%- if verdicts.out_of_reach | length > 6 %}
<li>and {{ verdicts.out_of_reach | length - 6 }} more for reasons of their own, told with each \
claim</li>
{%- endif %}
</ul>
{%- endif %}
</div>
</section>
{%- if explorer %}
<section id="explore">
<h2>Explore</h2>
{{ explorer }}
</section>
{%- endif %}
{%- for section in sections %}
<section id="{{ section.question.key }}" class="question">
<h2>{{ section.question.title }}
{%- if section.question.work %} <span class="paper">{{ section.question.work }}</span>
{%- endif %}</h2>
{%- if section.found %}
<p class="found">{{ section.found | join(" ") }}</p>
{%- endif %}
<div class="grid{{ " single" if section.figures | length < 2 }}">
{%- for figure in section.figures %}
{{ figure_card(figure) }}
{%- endfor %}
{%- if section.claims %}
<div class="cards">
{%- for row in section.claims if row.is_run %}
{{ claim_card(row) }}
{%- endfor %}
</div>
{%- endif %}
</div>
{%- for row in section.claims if not row.is_run %}
{%- if loop.first %}
<details class="fold absent"><summary>{{ loop.length }} claim{{ "s" if loop.length > 1 }} \
not run: {{ section.claims | rejectattr("is_run") | map(attribute="claim") | join(", ") }}\
</summary>
<div class="cards">
{%- endif %}
{{ claim_card(row) }}
{%- if loop.last %}
</div></details>
{%- endif %}
{%- endfor %}
{%- if section.more %}
<details class="fold more"><summary>{{ section.more | length }} more \
figure{{ "s" if section.more | length > 1 }}: \
{{ section.more | map(attribute="title") | join("; ") }}</summary>
<div class="grid">
{%- for figure in section.more %}
{{ figure_card(figure) }}
{%- endfor %}
</div></details>
{%- endif %}
<details class="fold how"><summary>How it was measured</summary>
<dl>
{%- for figure in section.figures + section.more %}
{%- if figure.explains or figure.differs %}
<dt><a href="#{{ figure.name }}">{{ figure.title }}</a></dt><dd>{{ figure.explains }}
{%- if figure.differs %} <span class="differs">Where it differs from the paper: \
{{ figure.differs }}</span>{% endif %}</dd>
{%- endif %}
{%- endfor %}
{%- for row in section.claims %}
{%- if row.statistic %}
<dt>{{ row.claim }}</dt><dd>{{ row.statistic }}</dd>
{%- endif %}
{%- endfor %}
</dl></details>
</section>
{%- endfor %}
<section id="run">
<h2>What was run</h2>
<details class="fold"><summary>Images, splits, networks and their recipes</summary>
<dl>
{%- for name, value in facts %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{%- endfor %}
</dl>
{{ table(models.rows, models.head, "networks and their recipes") }}
{%- if models.shared %}
<p class="note">Recipe shared by all: {{ models.shared }}.</p>
{%- endif %}
</details>
{%- if accuracy %}
<details class="fold" id="accuracy"><summary>Accuracy of every network</summary>
{{ table(accuracy.rows, accuracy.head, "accuracy of every network") }}
<p class="note">{{ accuracy.note }}</p>
</details>
{%- endif %}
{%- if controls %}
<details class="fold" id="controls"><summary>Measured values beside their controls</summary>
{%- for part in controls %}
<h3>{{ part.title }}</h3>
{{ table(part.rows, part.head, part.title) }}
<p class="note">{{ part.note }}</p>
{%- endfor %}
</details>
{%- endif %}
{%- if layers %}
<details class="fold" id="layers"><summary>Layers</summary>
{{ table(layers.rows, layers.head, "number of layers of each model") }}
</details>
{%- endif %}
{%- if verdicts %}
<details class="fold" id="verdicts"><summary>How verdicts are reached</summary>
<p>Thresholds stand in the claims’ source files and were set before there were results;
docs/amendments.md has what changed later. The reading that decided has a 95 % interval over these
images and these seeds: what other images of the kind, and networks trained from other seeds, would
give. Where it does not meet its criterion and others of the claim might not either, it is wider
(†: 97.5 % with two criteria, 98.3 % with three), so that all keep to 95 % together; the readings of
each claim have intervals of 95 %. Of one run it is over images only, and says nothing of other
runs. A verdict does not depend on how many claims there are; q does. p is the probability of so
clear a verdict were the truth at the threshold; q, with which of all verdicts those up to it are
wrong on average in that share (Benjamini and Yekutieli). Of {{ verdicts.discoveries[0] }} decisive
verdicts {{ verdicts.discoveries[1] }} are taken at a false discovery rate of
{{ verdicts.discoveries[2] }}.</p>
{%- if verdicts.calibration %}
<p>{{ verdicts.calibration }}</p>
{%- endif %}
<p>Tiers:
{%- for tier, meaning in verdicts.tiers %} {{ tier }}, {{ meaning }}{{ "." if loop.last else ";" }}
{%- endfor %} Values of the paper’s networks marked [fig] were read off its plots, good to 1 to 2 %
of an axis, off its maps to ±0.05; [text] is its text.
{%- if verdicts.absent %} Verdicts that no claim has here: {{ verdicts.absent | join("; ") }}.\
{% endif %}</p>
</details>
{%- endif %}
<details class="fold" id="differences"><summary>Where this differs from the paper, and why</summary>
<dl>
{%- for name, text in differences %}
<dt>{{ name }}</dt><dd>{{ text }}</dd>
{%- endfor %}
</dl></details>
</section>
</main>
<section id="provenance" aria-labelledby="provenance-title">
<h2 id="provenance-title">Provenance</h2>
<p class="note">From the records that each job left. Unlike everything above, this section differs \
from run to run: it holds times, memory and hardware.</p>
<dl>
{%- for name, value in provenance.facts %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{%- endfor %}
</dl>
<details class="fold"><summary>Time and memory</summary>
{{ table(provenance.stages, provenance.stages_head, "time and memory of each stage") }}
</details>
<details class="fold"><summary>Config</summary>
<pre tabindex="0">{{ provenance.config }}</pre></details>
<details class="fold"><summary>Hashes of {{ provenance.hashes | length }} results</summary>
{{ table(provenance.hashes, ["File", "SHA-256"], "hashes of results") }}
</details>
</section>
</body>
</html>
"""
