"""A page of two experiments: verdicts that turned, claims side by side, maps of the difference.

Readings are compared that both experiments have, of the same networks by the same criterion. Their
difference has the interval of the difference of two independent values (Zou and Donner 2008, from
the ends of both intervals); two experiments on the same reference images are more alike than that
says, so it is too wide rather than too narrow.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from sightlines.report.explore import explorer
from sightlines.report.style import CSS
from sightlines.report.verdicts import MARKS
from sightlines.results.numbers import bars, fixed, interval

READS = ("claims.csv", "claim_cases.csv", "accuracy.csv", *explorer.READS)
"""Tables that the page reads, where both experiments have them."""
CASE = ["claim", "case", "criterion"]
NETWORK = ["model", "fraction", "seed"]
NOT_RUN = "not run"


class Side(NamedTuple):
    """One of the two experiments.

    Attributes:
        name: As the page calls it.
        config: `networks`, `labels`, `architectures` and the whole `config`, as its report had it.
        tables: By file name.
        made_with: Versions and hardware that its report was made with, by name.
    """

    name: str
    config: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    made_with: dict[str, str]


def render(one: Side, other: Side) -> str:
    """The page as text; the same for the same results."""
    sides = [one, other]
    claims = _claims(sides)
    page = {
        "names": [side.name for side in sides],
        "claims": claims,
        "turned": [row for row in claims if row["turned"]],
        "readings": _readings(sides),
        "accuracy": _accuracy(sides),
        "alone": _alone(sides),
        "settings": _settings(sides),
        "made_with": list(_differing([side.made_with for side in sides])),
        "explorer": explorer.overlay(one[:3], other[:3]),
        "css": Markup(CSS + STYLE),
        "script_sources": Markup(explorer.script_sources()),
        "marks": MARKS,
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(PAGE).render(page)


def _claims(sides: list[Side]) -> list[dict[str, Any]]:
    """Every claim of either: both verdicts, and one reading that both have."""
    if not all("claims.csv" in side.tables for side in sides):
        return []
    found = [side.tables["claims.csv"].set_index("claim").to_dict("index") for side in sides]
    cases = _readings(sides)
    rows = []
    for claim in dict.fromkeys([*found[0], *found[1]]):
        own = [each.get(claim, {}) for each in found]
        verdicts = [str(each.get("verdict", NOT_RUN)) for each in own]
        named = [_text(each.get("deciding")) for each in own]
        of_claim = [case for case in cases if case["claim"] == claim]
        shown = [c for name in named for c in of_claim if f"{c['case']}: {c['criterion']}" == name]
        rows.append(
            {
                "claim": claim,
                "title": _text((own[0] or own[1]).get("title")),
                "statement": _text((own[0] or own[1]).get("statement")),
                "verdicts": verdicts,
                "because": [_text(each.get("because")) for each in own],
                "turned": verdicts[0] != verdicts[1],
                "reading": next(iter(shown or of_claim), None),
            }
        )
    return rows


def _readings(sides: list[Side]) -> list[dict[str, Any]]:
    """Readings behind the verdicts that both have: values, intervals, difference."""
    if not all("claim_cases.csv" in side.tables for side in sides):
        return []
    tables = [side.tables["claim_cases.csv"].drop_duplicates(CASE) for side in sides]
    joined = tables[0].merge(tables[1], on=CASE, suffixes=("_0", "_1"))
    rows = []
    for row in joined.to_dict("records"):
        values = [tuple(float(row[f"{key}_{i}"]) for key in _ENDS) for i in (0, 1)]
        if not all(math.isfinite(value[0]) for value in values):
            continue
        names = {key: _text(row[key]) for key in CASE}
        needed = _text(row["threshold_0"])
        difference = _difference(*values)
        rows.append(
            names
            | {
                "needed": needed,
                "said": [_interval(value, bars(needed)) for value in values],
                "difference": _interval(difference, (0.0,)),
                "is_clear": difference[1] > 0 or difference[2] < 0,
                "strip": _strip(values, needed),
            }
        )
    return rows


_ENDS = ("value", "low", "high")


def _difference(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, float, float]:
    """Second less first, with the ends of its interval: NaN where either has none."""
    value = other[0] - one[0]
    low = value - math.hypot(other[0] - other[1], one[2] - one[0])
    high = value + math.hypot(other[2] - other[0], one[0] - one[1])
    return value, low, high


def _interval(value: tuple[float, ...], against: tuple[float, ...]) -> str:
    if not all(map(math.isfinite, value)):
        return fixed(value[0], 3)
    return interval(value, against, digits=3)


def _strip(values: list[tuple[float, ...]], needed: str) -> dict[str, Any]:
    """Where both values, their intervals and the threshold stand, in per cent of a row's width."""
    bar = _threshold(needed)
    ends = [v for value in values for v in value if math.isfinite(v)]
    ends += [] if bar is None else [bar]
    low, high = min(ends), max(ends)
    width = high - low or 1.0

    def at(value: float) -> float:
        return round(4 + 92 * (value - low) / width, 1)

    return {
        "bar": None if bar is None else at(bar),
        "sides": [
            {
                "at": at(value[0]),
                "ends": [at(v) if math.isfinite(v) else at(value[0]) for v in value[1:]],
            }
            for value in values
        ],
    }


def _threshold(needed: str) -> float | None:
    """The number in a threshold such as "≥ 0.8"."""
    try:
        return float(needed.split()[-1].replace("−", "-"))
    except (IndexError, ValueError):
        return None


def _accuracy(sides: list[Side]) -> list[dict[str, str]]:
    """Test accuracy of networks that both have."""
    if not all("accuracy.csv" in side.tables for side in sides):
        return []
    tables = [side.tables["accuracy.csv"][[*NETWORK, "accuracy_test"]] for side in sides]
    joined = tables[0].merge(tables[1], on=NETWORK, suffixes=("_0", "_1"))
    rows = []
    for row in joined.to_dict("records"):
        both = [float(row[f"accuracy_test_{i}"]) for i in (0, 1)]
        if all(map(math.isfinite, both)):
            points = fixed(100 * (both[1] - both[0]), 1)
            shares = [f"{fixed(100 * share, 1)} %" for share in both]
            rows.append(
                {
                    "network": "/".join(str(row[key]) for key in NETWORK),
                    "one": shares[0],
                    "other": shares[1],
                    "difference": points if points.startswith("−") else f"+{points}",
                }
            )
    return rows


def _alone(sides: list[Side]) -> list[tuple[str, list[str]]]:
    """Networks that only one of them has."""
    own = [set(map(str, side.config.get("networks", []))) for side in sides]
    found = [(side.name, sorted(own[place] - own[1 - place])) for place, side in enumerate(sides)]
    return [(name, networks) for name, networks in found if networks]


def _settings(sides: list[Side]) -> list[tuple[str, str, str]]:
    """Keys of the config that differ."""
    flat = [dict(_flat(side.config.get("config", {}))) for side in sides]
    return list(_differing(flat))


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key in value:
            yield from _flat(value[key], f"{path}.{key}" if path else str(key))
    else:
        yield path, str(value)


def _differing(both: list[dict[str, str]]) -> Iterator[tuple[str, str, str]]:
    for key in sorted({*both[0], *both[1]}):
        values = [each.get(key, "–") for each in both]
        if values[0] != values[1]:
            yield key, values[0], values[1]


def _text(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value)


PAGE = """\
{%- macro badge(verdict) -%}
<span class="verdict {{ verdict | replace(',', '') | replace(' ', '-') }}">\
{{ marks.get(verdict, "") }} {{ verdict }}</span>
{%- endmacro -%}
{%- macro strip(reading) -%}
<svg class="strip" viewBox="0 0 100 26" preserveAspectRatio="none" role="img" \
aria-label="{{ names[0] }}: {{ reading.said[0] }}; {{ names[1] }}: {{ reading.said[1] }}; \
needed: {{ reading.needed }}">
{%- if reading.strip.bar is not none %}
<line class="bar" x1="{{ reading.strip.bar }}" x2="{{ reading.strip.bar }}" y1="0" y2="26"/>
{%- endif %}
{%- for side in reading.strip.sides %}
<line class="side{{ loop.index0 }}" x1="{{ side.ends[0] }}" x2="{{ side.ends[1] }}" \
y1="{{ 8 + 10 * loop.index0 }}" y2="{{ 8 + 10 * loop.index0 }}"/>
<line class="value side{{ loop.index0 }}" x1="{{ side.at }}" x2="{{ side.at }}" \
y1="{{ 4 + 10 * loop.index0 }}" y2="{{ 12 + 10 * loop.index0 }}"/>
{%- endfor %}
</svg>
{%- endmacro -%}
{%- macro claim_table(rows, label, is_brief=false) -%}
<div class="scroll" role="region" tabindex="0" aria-label="{{ label }}">
<table class="sides">
<thead><tr><th scope="col" class="words">Claim</th>\
<th scope="col" class="words">{{ names[0] }}</th>\
<th scope="col" class="words">{{ names[1] }}</th>\
<th scope="col" class="words">The same reading in both</th>\
<th scope="col" class="words">Difference</th></tr></thead>
<tbody>
{%- for row in rows %}
<tr><td class="words"><strong>{{ row.claim }}</strong>
{{- " " ~ (row.title if is_brief else row.statement) }}</td>
{%- for i in (0, 1) %}
<td class="words">{{ badge(row.verdicts[i]) }}
{%- if not is_brief and row.because[i] %}<br>\
<span class="note">{{ row.because[i] }}</span>{% endif %}</td>
{%- endfor %}
{%- if row.reading %}
<td class="words">{{ strip(row.reading) }}
{%- if not is_brief %}
<span class="note">{{ row.reading.case }}: {{ row.reading.criterion }} {{ row.reading.needed }}<br>
<span class="side0">{{ names[0] }}</span> {{ row.reading.said[0] }}<br>
<span class="side1">{{ names[1] }}</span> {{ row.reading.said[1] }}</span>
{%- endif %}</td>
<td class="words">{{ row.reading.difference }}{% if row.reading.is_clear %} \
<strong>clear</strong>{% endif %}</td>
{%- else %}
<td class="words" colspan="2"><span class="note">no reading that both have</span></td>
{%- endif %}
</tr>
{%- endfor %}
</tbody>
</table>
</div>
{%- endmacro -%}
{%- macro table(rows, head, label) -%}
<div class="scroll" role="region" tabindex="0" aria-label="{{ label }}">
<table><thead><tr>{% for cell in head %}\
<th scope="col" class="words">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for row in rows %}
<tr>{% for cell in row %}<td class="words wide">{{ cell }}</td>{% endfor %}</tr>
{%- endfor %}
</tbody></table>
</div>
{%- endmacro -%}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'; script-src {{ script_sources }}; base-uri 'none'; form-action 'none'">
<link rel="icon" href="data:,">
<title>{{ names[0] }} and {{ names[1] }} – sightlines</title>
<style>{{ css }}</style>
</head>
<body>
<header>
<p class="kicker">sightlines – two experiments side by side</p>
<h1>“{{ names[0] }}” and “{{ names[1] }}”</h1>
<p>
{%- if claims %}
{{ turned | length }} of {{ claims | length }} verdicts differ.
{%- else %}
No verdicts to compare: one of them has none.
{%- endif %}
 {{ readings | selectattr("is_clear") | list | length }} of {{ readings | length }} readings
differ by more than their
intervals allow; {{ settings | length }} setting{{ "" if settings | length == 1 else "s" }} of
their configs
{{ "differs" if settings | length == 1 else "differ" }}.</p>
</header>
<main>
<section id="turned">
<h2>Verdicts that turned</h2>
{%- if turned %}
{{ claim_table(turned, "verdicts that turned") }}
{%- else %}
<p>None.</p>
{%- endif %}
</section>
<section id="settings">
<h2>What is different about them</h2>
{%- if settings | length > 12 %}
<details><summary>{{ settings | length }} settings differ</summary>
{{ table(settings, ["Setting", names[0], names[1]], "settings that differ") }}
</details>
{%- elif settings %}
{{ table(settings, ["Setting", names[0], names[1]], "settings that differ") }}
{%- else %}
<p>No setting of their configs.</p>
{%- endif %}
{%- for name, networks in alone %}
<p>Networks of {{ name }} alone: {{ networks | join(", ") }}.</p>
{%- endfor %}
{%- if made_with %}
<details><summary>Versions and machines</summary>
{{ table(made_with, ["", names[0], names[1]], "versions and machines that differ") }}
</details>
{%- endif %}
</section>
{%- if accuracy %}
<section id="accuracy">
<h2>Test accuracy</h2>
<div class="scroll" role="region" tabindex="0" aria-label="test accuracy">
<table><thead><tr><th scope="col" class="words">Network</th><th scope="col">{{ names[0] }}</th>\
<th scope="col">{{ names[1] }}</th><th scope="col">Difference, points</th></tr></thead>
<tbody>
{%- for row in accuracy %}
<tr><td class="words">{{ row.network }}</td><td>{{ row.one }}</td><td>{{ row.other }}</td>\
<td>{{ row.difference }}</td></tr>
{%- endfor %}
</tbody></table>
</div>
</section>
{%- endif %}
{%- if claims %}
<section id="claims">
<h2>Every claim</h2>
{{ claim_table(claims, "every claim", true) }}
<p class="note">Each row has a scale of its own: above {{ names[0] }}, below {{ names[1] }}, with
their 95 %
intervals; the dashed line is the threshold. The reading is the one that decided in {{ names[0]
}}, where the
other has it. A difference is {{ names[1] }} less {{ names[0] }}, with the interval of two
independent values;
on the same images it is too wide rather than too narrow. “Clear”: it does not cover 0.</p>
<details><summary>Every reading that both have</summary>
<div class="scroll" role="region" tabindex="0" aria-label="every reading">
<table><thead><tr><th scope="col" class="words">Claim</th>\
<th scope="col" class="words">Reading</th>\
<th scope="col" class="words">{{ names[0] }}</th><th scope="col" class="words">{{ names[1] }}</th>\
<th scope="col" class="words">Difference</th></tr></thead>
<tbody>
{%- for row in readings %}
<tr><td class="words">{{ row.claim }}</td>\
<td class="words">{{ row.case }}: {{ row.criterion }} {{ row.needed }}</td>\
<td class="words">{{ row.said[0] }}</td><td class="words">{{ row.said[1] }}</td>\
<td class="words">{{ row.difference }}{% if row.is_clear %} \
<strong>clear</strong>{% endif %}</td></tr>
{%- endfor %}
</tbody></table>
</div>
</details>
</section>
{%- endif %}
{%- if explorer %}
<section id="explore">
<h2>Layers</h2>
<p>Maps are {{ names[1] }} less {{ names[0] }}, of the networks whose layers agree; lines are of
both.</p>
{{ explorer }}
</section>
{%- endif %}
</main>
</body>
</html>
"""
"""The template; a module rather than a data file, as the page's."""

STYLE = """\
.strip { display: block; width: 100%; min-width: 12rem; height: 1.9rem; background: var(--shade); }
.strip line { stroke-width: 2.5px; vector-effect: non-scaling-stroke; }
.strip .value { stroke-width: 4px; }
.strip .bar { stroke: var(--soft); stroke-width: 1.5px; stroke-dasharray: 4 3; }
line.side0 { stroke: #0072b2; } line.side1 { stroke: #d55e00; }
span.side0, span.side1 { padding-left: 0.4rem; }
span.side0 { border-left: 4px solid #0072b2; } span.side1 { border-left: 4px solid #d55e00; }
.sides { width: 100%; min-width: 44rem; }
.sides td { white-space: normal; vertical-align: top; width: 22%; }
.sides td:first-child { width: 16%; }
td.wide { white-space: normal; }
"""
