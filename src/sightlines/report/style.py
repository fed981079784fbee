"""The page's style sheet: one column of text, light and dark, on paper and on a phone.

A Python module rather than a data file, so that it takes part in the stage's code digest. Colours
of verdicts reach a contrast of 4.5 on the page in both schemes, and each verdict has a mark of its
own beside its colour.
"""

CSS = """\
:root { --ink: #1b1f24; --soft: #545d67; --line: #d5d9de; --page: #ffffff; --shade: #f3f5f7;
  --link: #0063a0; --good: #00664a; --initial: #1f5fae; --bad: #a33600; --mixed: #7a3f93;
  --flag: #fdf0e7; --paper: #b3246b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --soft: #a8b0ba; --line: #3a414a; --page: #16191d; --shade: #20252b;
    --link: #78c2f0; --good: #5fd3ae; --initial: #8db8f5; --bad: #ffb27d; --mixed: #d5a6ea;
    --flag: #35241a; --paper: #ff8ec2; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 0.5rem; }
body { margin: 0 auto; max-width: 84rem; padding: 0.6rem clamp(0.75rem, 2.5vw, 2rem) 3rem;
  color: var(--ink); background: var(--page); overflow-wrap: anywhere;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: clamp(1.35rem, 3.2vw, 1.9rem); line-height: 1.2; margin: 0 0 0.3rem; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 1.4rem 0 0.4rem;
  border-top: 1px solid var(--line); padding-top: 0.55rem; }
h2.small { font-size: 1rem; border: 0; padding: 0; margin: 0.8rem 0 0.3rem; }
h3 { font-size: 1rem; margin: 1rem 0 0.4rem; }
p { margin: 0.4rem 0; }
a { color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { position: static; }
nav { display: flex; flex-wrap: wrap; gap: 0.1rem 0.9rem; margin-top: 0.3rem;
  font-size: 0.9375rem; }
nav a { padding: 0.15rem 0; }
.kicker, .note, .paper, .saw, .line { color: var(--soft); font-size: 0.875rem; line-height: 1.4; }
.kicker { margin: 0; }
.line { margin: 0.1rem 0; }
.line b { color: var(--ink); margin-right: 0.35rem; }
.answer { font-size: 1.1rem; line-height: 1.35; margin: 0.2rem 0 0.3rem; }
.respects { list-style: none; margin: 0 0 0.3rem; padding: 0; }
.respects li { display: grid; grid-template-columns: 11rem minmax(0, 1fr); gap: 0 0.6rem;
  line-height: 1.4; }
.respects .verdict { line-height: 1.4rem; }
.respects .soft { font-size: 0.875rem; }
.paper { font-weight: 400; margin-left: 0.3rem; }
.from { font-style: italic; }
.found { max-width: 78rem; font-size: 0.9375rem; }

/* The overview: maps and learning beside the claims. */
.overview { display: grid; grid-template-columns: minmax(0, 17rem) minmax(0, 1fr);
  grid-template-rows: auto 1fr; gap: 0 1.6rem; border-top: 1px solid var(--line);
  margin-top: 0.6rem; align-items: start; }
.side { grid-column: 1; }
.forest { grid-column: 2; grid-row: 1 / span 2; }
.maps { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 0.4rem; }
.map { display: grid; gap: 0.35rem; align-content: start; }
.map .name { font-size: 0.8rem; line-height: 1.2; align-self: end; }
.cells { width: 100%; max-width: 10rem; height: auto; aspect-ratio: 1; image-rendering: pixelated; }
.cells.none { font-size: 0.8rem; color: var(--soft); border: 1px dashed var(--line); }
.scale { display: inline-block; width: 4rem; height: 0.7rem; vertical-align: -0.05rem;
  border: 1px solid var(--line); background: linear-gradient(90deg, #000004, #1d1147, #51127c,
  #832681, #b73779, #e75263, #fc8961, #fec488, #fcfdbf); }
.learned { width: 100%; font-size: 0.875rem; }
.learned th, .learned td { padding: 0.12rem 0.3rem; }
.learned td:first-child, .learned .flagged td { white-space: normal; }
.reach { margin: 0; padding-left: 1.1rem; font-size: 0.875rem; line-height: 1.4; }
.key { display: flex; flex-wrap: wrap; gap: 0.1rem 1rem; font-size: 0.8rem; color: var(--soft);
  margin: 0 0 0.2rem; }
.key svg { vertical-align: -0.1rem; overflow: visible; }
.forest h3 { margin: 0.35rem 0 0; font-size: 0.875rem; }
.forest h3 a { text-decoration: none; }
.rows { list-style: none; margin: 0; padding: 0; }
.row { display: grid; align-items: center; gap: 0 0.7rem; color: inherit; text-decoration: none;
  grid-template-columns: 2.6rem minmax(0, 1fr) 8.2rem 11.2rem 11rem;
  font-size: 0.8125rem; line-height: 1.25rem; min-height: 1.3rem;
  border-top: 1px solid var(--line); }
.row:hover { background: var(--shade); }
.row .id { color: var(--link); font-weight: 600; white-space: nowrap; }
.row svg.plot { margin: -1px 0; }
.row .plot.none { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.row .plot.none { color: var(--soft); font-style: italic; }
.got { font-variant-numeric: tabular-nums; white-space: nowrap; }
.one { color: var(--soft); font-size: 0.8125rem; }
.absent { font-size: 0.8125rem; line-height: 1.4; padding: 0.1rem 0; color: var(--soft); }
li.absent { border-top: 1px solid var(--line); }
li.absent a { white-space: nowrap; }
/* Groups are folded where there is little room; elsewhere, and on paper, all rows are seen. */
.group > summary { cursor: pointer; font-size: 0.875rem; color: var(--soft); }
.group > summary b { color: var(--link); }
@supports selector(::details-content) {
  @media print, (min-width: 46.01rem) {
    .group > summary { display: none; }
    .group::details-content { content-visibility: visible; display: block; block-size: auto; } } }
.legend { list-style: none; margin: 0 0 0.3rem; padding: 0; columns: 3; column-gap: 1.5rem;
  font-size: 0.8125rem; line-height: 1.4; color: var(--soft); }
.legend li { break-inside: avoid; padding-left: 1.2rem; text-indent: -1.2rem; }
.far { font-size: 0.8rem; }
.soft { color: var(--soft); }

/* Marks of a row; colours are those of its verdict. */
.plot { display: block; overflow: hidden; color: var(--soft); }
.bar { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 2; }
.ci { stroke: currentColor; stroke-width: 2.2; }
.ci.alone { stroke-dasharray: 3 2; }
.value { fill: currentColor; stroke: currentColor; stroke-width: 1.6; }
.value.ring { fill: var(--page); }
.control { fill: var(--page); stroke: var(--soft); stroke-width: 1.4; }
path.paper { fill: none; stroke: var(--paper); stroke-width: 1.7; }
path.beyond { fill: none; }
.verdict { white-space: nowrap; font-weight: 600; font-size: 0.8125rem; color: var(--soft); }
.verdict .mark { display: inline-block; text-indent: 0; width: 1.1em; text-align: center; }
.verdict .short { display: none; }
.holds-learned, .holds { color: var(--good); }
.holds-at-initialisation { color: var(--initial); }
.depends-on-the-architecture { color: var(--mixed); }
.does-not-hold, .lost-in-training { color: var(--bad); }

/* A section a question: figures, then claims. */
.grid { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.8rem 1.6rem;
  align-items: start; }
.cards { grid-column: 1 / -1; display: grid; gap: 0 1.6rem; align-items: start;
  grid-template-columns: repeat(2, minmax(0, 1fr)); }
.grid.single .cards { grid-column: auto; grid-template-columns: minmax(0, 1fr); }
figure { margin: 0; min-width: 0; }
.zoom > summary { list-style: none; cursor: zoom-in; color: var(--ink); }
.zoom > summary::-webkit-details-marker { display: none; }
.zoom .name { display: block; font-weight: 600; margin-bottom: 0.2rem; }
.zoom img { display: block; width: 100%; height: auto; max-height: 14.4rem; object-fit: cover;
  object-position: top; background: #ffffff; border: 1px solid var(--line); }
.zoom:not([open]) > summary::after { content: "Whole figure, with its caption";
  color: var(--link); font-size: 0.8rem; }
.zoom[open] > summary { cursor: zoom-out; overflow-x: auto; }
.zoom[open] img { max-height: none; min-width: var(--least); }
.saw { margin: 0.3rem 0 0; }
figcaption { margin-top: 0.5rem; font-size: 0.9rem; }
.files { display: block; margin-top: 0.3rem; color: var(--soft); }
.claim { border-top: 1px solid var(--line); font-size: 0.875rem; min-width: 0; }
.claim > summary { display: grid; grid-template-columns: 2.6rem minmax(0, 1fr) 11rem;
  cursor: pointer; gap: 0 0.6rem; padding: 0.18rem 0; line-height: 1.3; list-style: none; }
.claim > summary::-webkit-details-marker { display: none; }
.claim > summary:hover { background: var(--shade); }
.claim .id { color: var(--link); font-weight: 600; grid-row: span 2; }
.claim .says { grid-row: span 2; }
.claim .got { color: var(--soft); white-space: normal; }
.claim dl { margin: 0.3rem 0 0.6rem 2.6rem; }
.claim .scroll { margin-bottom: 0.8rem; }
:target > summary, .row:focus-visible { background: var(--shade); }
:target::details-content { content-visibility: visible; block-size: auto; }
details.fold { margin: 0.45rem 0 0; }
.fold > summary { cursor: pointer; color: var(--link); font-size: 0.9rem; }
.more > summary { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.more[open] > summary { white-space: normal; margin-bottom: 0.6rem; }

dl { display: grid; grid-template-columns: minmax(6rem, max-content) minmax(0, 1fr);
  gap: 0.25rem 1rem; margin: 0.4rem 0; max-width: 68rem; }
.how dl, #differences dl { grid-template-columns: minmax(6rem, 13rem) minmax(0, 1fr); }
dt { color: var(--soft); }
dd { margin: 0; }
.differs { color: var(--soft); }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--line); text-align: right;
  overflow-wrap: normal; }
td { white-space: nowrap; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; background: var(--shade); }
.words { text-align: left; }
tr.control td { color: var(--soft); }
tr.flagged td { color: var(--bad); background: var(--flag); }
pre { overflow: auto; max-height: 32rem; padding: 0.8rem; background: var(--shade);
  font-size: 0.82rem; line-height: 1.4; }
@media (prefers-color-scheme: dark) { .zoom img { filter: brightness(0.9); } }

@media screen and (max-width: 64rem) {
  .legend { columns: 2; }
  .overview { grid-template-columns: minmax(0, 1fr); }
  .forest { grid-column: 1; grid-row: auto; }
  .side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
    gap: 0 2rem; }
  .side > * { grid-column: 1 / -1; }
  .grid, .cards, .grid.single .cards { grid-template-columns: minmax(0, 1fr); } }
@media screen and (max-width: 46rem) {
  .row { grid-template: "id says badge" "id plot got" / 2.4rem minmax(0, 1fr) 8.4rem;
    padding: 0.15rem 0; }
  .row .id { grid-area: id; } .row .says { grid-area: says; }
  .row .plot { grid-area: plot; } .row .got { grid-area: got; font-size: 0.72rem; }
  .row .verdict { grid-area: badge; }
  .legend { columns: 1; }
  .respects li { display: block; margin-bottom: 0.25rem; }
  .forest h3 { display: none; }
  .group > summary { border-top: 1px solid var(--line); padding: 0.25rem 0; }
  .verdict .long { position: absolute; clip-path: inset(50%); width: 1px; height: 1px;
    overflow: hidden; }
  .verdict .short { display: inline; }
  .claim > summary { grid-template-columns: 2.6rem minmax(0, 1fr) auto; }
  .claim .says { grid-column: 2 / -1; grid-row: auto; }
  .claim .verdict { grid-column: 3; grid-row: 2; }
  .claim .got { grid-column: 2; grid-row: 2; }
  .claim dl { margin-left: 0; }
  dl, .how dl, #differences dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: 0.5rem; }
  th, td { padding: 0.25rem 0.5rem; } }

@page { size: A4; margin: 14mm 13mm; }
@media print {
  :root { --page: #ffffff; --ink: #000000; --soft: #444444; --line: #bbbbbb; --shade: #ffffff;
    --link: #000000; --good: #00664a; --initial: #1f5fae; --bad: #a33600; --mixed: #7a3f93;
    --paper: #b3246b; }
  body { max-width: none; padding: 0; font-size: 9pt; line-height: 1.35; }
  h1 { font-size: 17pt; } h2 { font-size: 13pt; }
  nav, .skip, #explore, .files { display: none; }
  .zoom > summary::after { display: none; }
  .question details::details-content, #accuracy::details-content, #verdicts::details-content {
    content-visibility: visible; display: block; block-size: auto; }
  .overview, .grid { display: block; }
  .cards, .grid.single .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 6mm; }
  .claim > summary { grid-template-columns: 1cm minmax(0, 1fr) 2.9cm; }
  .claim, .claim dl, .how dl, figcaption, .saw { font-size: 7.5pt; line-height: 1.3; }
  .claim dl { margin-left: 1.2cm; grid-template-columns: 1.6cm minmax(0, 1fr); gap: 0.5mm 2mm; }
  .fold > summary { list-style: none; }
  .more > summary { white-space: normal; }
  .maps { max-width: 10cm; }
  .row { grid-template-columns: 1cm minmax(0, 1.2fr) minmax(0, 1fr) 3.4cm 3.9cm; font-size: 7pt;
    break-inside: avoid; }
  .zoom img { width: auto; max-width: 100%; max-height: 16cm; object-fit: contain; border: 0;
    filter: none; margin: 0 auto; }
  figure, .claim, .row, tr { break-inside: avoid; }
  h2, h3, .found { break-after: avoid; }
  .found, .answer, .respects { break-inside: avoid; }
  :not(.question) > details.fold:not([open], #accuracy, #verdicts) { display: none; }
  p, figcaption, dd { orphans: 3; widows: 3; }
  .scroll { overflow: visible; }
  .verdict { font-size: 7pt; }
  .respects li { grid-template-columns: 3.9cm minmax(0, 1fr); }
  .respects .verdict, .respects .soft, .legend, .legend .verdict { font-size: 8pt; }
  td, .got { white-space: normal; }
  table { font-size: 7pt; }
  .question .claim .scroll { display: none; }
  .scale { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
